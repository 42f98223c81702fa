import { Duration, Effect, Layer, Stream } from "effect"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import * as ServiceRegistrySql from "effect-foundation/ServiceRegistry/Sql"
import { Telemetry } from "effect-foundation/Telemetry"
import { parent, runChild } from "../support/parent.js"

/** What a contender is asked to do. */
export type Asked =
  /** Wants each of the names: takes it when it is free, holds it for as long as it can, and begins anew. */
  | { readonly contend: ReadonlyArray<string> }
  /** Takes each of the names once, and keeps its scope open. */
  | { readonly keep: ReadonlyArray<string> }
  /** Tells from now on where it finds the names. */
  | { readonly follow: ReadonlyArray<string> }
  /** Ends by itself, and gives up what it has. */
  | "leave"

export type Said =
  | { readonly is: "ready" }
  /** At this moment of the clock that all processes of the machine share, it held these names under these tokens. */
  | { readonly is: "holding"; readonly at: number; readonly held: Readonly<Record<string, number>> }
  /** As above, and the same as it said last. */
  | { readonly is: "still"; readonly at: number }
  | { readonly is: "kept"; readonly names: number }
  /** What it was told of a name: a change with its reason. */
  | { readonly is: "told"; readonly name: string; readonly change: string; readonly token: number; readonly by: string }
  /** What it found under the names it follows: how many, and how old it says that may be. */
  | { readonly is: "found"; readonly names: number; readonly staleness: number; readonly at: number }

export interface Settings {
  readonly url: string
  readonly address: string
  readonly lease: string
}

/** A process that takes names, and says at any time which it believes to have. */
const { messages, send } = parent<Said, Asked>()
const { address, lease, url }: Settings = JSON.parse(process.argv[2] ?? "")

const client = url.startsWith("postgres:")
  ? postgresClient({ url, silence: "1 second", maxConnections: 4 })
  : sqliteClient({ filename: url })
const layer = ServiceRegistrySql.layer({
  advertise: address,
  lease: Duration.decode(lease as Duration.DurationInput),
  deadline: "3 seconds"
}).pipe(Layer.provide(client), Layer.provideMerge(Telemetry.layer))

const now = () => Number(process.hrtime.bigint() / 1000n)

const names = new Set<string>()
const followed = new Set<string>()

const isFree = (name: string) =>
  ServiceRegistry.watch({ name }).pipe(
    Stream.filter(
      (change) => change._tag === "Unregistered" || (change._tag === "Snapshot" && change.registrations.length === 0)
    ),
    Stream.take(1),
    Stream.runDrain,
    Effect.timeout("2 seconds"),
    Effect.ignore
  )

const contend = (name: string) =>
  Effect.gen(function* () {
    let registration = yield* ServiceRegistry.register(name, address)
    for (;;) {
      yield* ServiceRegistry.ended(registration)
      // It may be had back, if it is still free.
      yield* Effect.sleep("200 millis")
      const found = yield* ServiceRegistry.lookupOption(name)
      if (found._tag === "None" || String(found.value.process) !== address) return
      registration = found.value
    }
  }).pipe(
    Effect.scoped,
    Effect.catchAll(() => Effect.void),
    Effect.zipRight(Effect.delay(isFree(name), "50 millis")),
    Effect.forever
  )

const tell = Effect.gen(function* () {
  const registry = yield* ServiceRegistry
  let last = ""
  let spokeAt = 0
  for (;;) {
    // Before the reads: what counts then, counted now.
    const at = now()
    const held: Record<string, number> = {}
    for (const name of names) {
      const found = registry.unsafeLookup(name)
      if (found !== undefined && String(found.process) === address) held[name] = found.token
    }
    const holding = JSON.stringify(held)
    if (holding !== last) yield* send({ is: "holding", at, held })
    else if (at - spokeAt > 20_000) yield* send({ is: "still", at })
    if (holding !== last || at - spokeAt > 20_000) spokeAt = at
    last = holding
    yield* Effect.sleep("10 millis")
  }
})

const follow = Effect.gen(function* () {
  const registry = yield* ServiceRegistry
  for (;;) {
    const found = [...followed].filter((name) => registry.unsafeLookup(name) !== undefined).length
    const staleness = Duration.toMillis(yield* ServiceRegistry.staleness)
    if (followed.size > 0) yield* send({ is: "found", names: found, staleness, at: now() })
    yield* Effect.sleep("50 millis")
  }
})

const hear = ServiceRegistry.watch().pipe(
  Stream.runForEach((change) => {
    if (change._tag === "Snapshot") return Effect.void
    const { name, process, token } = change.registration
    const what = change._tag === "Unregistered" ? change.reason : change._tag
    return send({ is: "told", name, change: what, token, by: String(process) })
  })
)

runChild(
  Effect.gen(function* () {
    yield* Effect.forkScoped(hear)
    yield* Effect.forkScoped(tell)
    yield* Effect.forkScoped(follow)
    yield* Effect.yieldNow()
    yield* send({ is: "ready" })
    yield* messages.pipe(
      Stream.takeWhile((asked) => asked !== "leave"),
      Stream.runForEach((asked) =>
        Effect.gen(function* () {
          if ("contend" in asked) {
            for (const name of asked.contend) {
              if (names.has(name)) continue
              names.add(name)
              yield* Effect.forkScoped(contend(name))
              // So that the others have a chance: one statement could take all.
              yield* Effect.sleep("20 millis")
            }
          } else if ("keep" in asked) {
            for (const name of asked.keep) names.add(name)
            yield* Effect.forEach(asked.keep, (name) => ServiceRegistry.register(name, address), {
              concurrency: "unbounded"
            })
            yield* send({ is: "kept", names: asked.keep.length })
          } else for (const name of asked.follow) followed.add(name)
        })
      )
    )
  }).pipe(Effect.scoped, Effect.provide(layer))
)
