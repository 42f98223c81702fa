import { Effect, Redacted, Schedule, Stream } from "effect"
import { type Child, startChild } from "../support/child.js"
import { Beliefs } from "./Beliefs.js"
import type { Asked, Said, Settings } from "./contender.js"

/** A contender that runs, and what it has said. */
export interface Contender {
  readonly address: string
  readonly child: Child<Said, Asked>
  readonly said: ReadonlyArray<Said>
}

/** Processes that share a registry, and what they believe. */
export const makeCluster = (lease: string) =>
  Effect.gen(function* () {
    const beliefs = new Beliefs()
    let started = 0
    const start = (url: Redacted.Redacted | string) =>
      Effect.gen(function* () {
        const address = `http://10.0.0.${++started}/`
        const settings: Settings = { url: typeof url === "string" ? url : Redacted.value(url), address, lease }
        const child = yield* startChild<Said, Asked>(new URL("./contender.ts", import.meta.url), {
          args: [JSON.stringify(settings)]
        })
        const said: Array<Said> = []
        yield* child.messages.pipe(
          Stream.runForEach((message) =>
            Effect.sync(() => {
              said.push(message)
              beliefs.hear(address, message)
            })
          ),
          // It is killed, as a test wants it.
          Effect.ignore,
          Effect.forkScoped
        )
        const contender: Contender = { address, child, said }
        yield* until(`${address} is ready`, () => said.some(({ is }) => is === "ready"), child.stderr)
        return contender
      })
    return { beliefs, start }
  })

/** Waits for what the processes come to by themselves. */
export const until = (
  what: string,
  isSo: () => boolean,
  details: Effect.Effect<unknown> = Effect.void
): Effect.Effect<void> =>
  Effect.sync(isSo).pipe(
    Effect.repeat({ until: (so) => so, schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOption("60 seconds"),
    Effect.flatMap((ended) =>
      ended._tag === "Some"
        ? Effect.void
        : Effect.flatMap(details, (detail) => Effect.dieMessage(`it did not come to this: ${what}. ${detail ?? ""}`))
    )
  )
