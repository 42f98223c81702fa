import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Effect, Exit } from "effect"
import { demo } from "./Demo.js"
import { configCopy, Platform, services } from "./Services.js"

const main = Effect.gen(function* () {
  const configFile = yield* configCopy
  return yield* demo({ configFile }).pipe(Effect.scoped, Effect.provide(services(configFile)))
}).pipe(Effect.scoped, Effect.provide(Platform))

// Where tsx is slow it passes on the SIGINT that a terminal has sent already: a second one must not cut the end short.
process.on("SIGINT", () => {})

NodeRuntime.runMain(
  main.pipe(
    Effect.map(({ holds }) => holds),
    Effect.timeout("28 seconds"),
    Effect.tapErrorCause((cause) => Console.error(`✗ The demo did not end as it should\n${Cause.pretty(cause)}`)),
    Effect.onInterrupt(() => Console.error("Interrupted: the servers are closed"))
  ),
  {
    disableErrorReporting: true,
    teardown: (exit, end) =>
      end(
        Exit.match(exit, {
          onSuccess: (holds) => (holds === true ? 0 : 1),
          onFailure: (cause) => (Cause.isInterruptedOnly(cause) ? 130 : 1)
        })
      )
  }
)
