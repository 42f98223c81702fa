import { Effect, Logger } from "effect"
import { Telemetry } from "effect-foundation/Telemetry"

/** What was rejected of the configuration while the effect ran, by telemetry and in the log. */
export const rejectionsIn = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const reasons: Array<unknown> = []
    const logged: Array<string> = []
    yield* Telemetry.attach("rejected", "config.policy.rejected", (event) => void reasons.push(event.metadata.reason))
    yield* effect.pipe(
      Effect.provide(
        Logger.replace(
          Logger.defaultLogger,
          Logger.make(({ message }) => void logged.push(String(message)))
        )
      )
    )
    return { logged, reasons }
  }).pipe(Effect.scoped)
