import { spawnSync } from "node:child_process"
import { Effect } from "effect"
import { describe } from "vitest"
import { howToGetPrometheus } from "../../examples/servers/Prometheus.js"

/** Whether tests on Prometheus can run here. In CI they do, come what may. */
const isThere =
  process.env.CI !== undefined ||
  ["prometheus", "promtool"].every((program) => spawnSync(program, ["--version"]).error === undefined)

if (!isThere) console.warn(`Tests on Prometheus are skipped. ${howToGetPrometheus}`)

/** `describe`, skipped where Prometheus is not there; why is then on the console. */
export const describePrometheus = describe.skipIf(!isThere)

/** What `promtool check metrics` finds: 0 is all well, 3 a matter of taste, which it names, and 1 text that is not valid. */
export const promtool = (text: string): { readonly code: number | null; readonly said: string } => {
  const { error, status, stderr, stdout } = spawnSync("promtool", ["check", "metrics"], {
    input: text,
    encoding: "utf8"
  })
  if (error !== undefined) throw new Error(howToGetPrometheus, { cause: error })
  return { code: status, said: stdout + stderr }
}

/** Asks until the answer is as wanted. */
export const eventually = <A, E>(ask: Effect.Effect<A, E>, isWanted: (answer: A) => boolean): Effect.Effect<A, E> =>
  Effect.flatMap(ask, (answer) =>
    isWanted(answer) ? Effect.succeed(answer) : Effect.delay(eventually(ask, isWanted), "50 millis")
  )
