import { Effect, Stream } from "effect"
import { ServiceRegistry } from "effect-foundation"

/** Goes on when the name is free, as far as this process has heard; if it missed that, after a while. */
const isFree = (name: string) =>
  ServiceRegistry.watch({ name }).pipe(
    Stream.filter((change) => change._tag !== "Registered" && change._tag !== "Updated"),
    Stream.filter((change) => change._tag === "Unregistered" || change.registrations.length === 0),
    Stream.take(1),
    Stream.runDrain,
    Effect.timeoutOption("5 seconds")
  )

/**
 * Takes the name as soon as it is free, and holds it for as long as it can: until it is interrupted, or its lease is
 * lost. Then it stands in line again. Of all processes that do so, one has the name at any time.
 */
export const standInLine = (name: string, address: URL) =>
  Effect.gen(function* () {
    const registration = yield* ServiceRegistry.register(name, address)
    yield* ServiceRegistry.ended(registration)
  }).pipe(
    Effect.scoped,
    Effect.catchTag("AlreadyRegistered", () => isFree(name)),
    Effect.forever
  )
