import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import type { Conflict } from "./Render.js"

/** How many conflicts are said, each once in the life of the process. All are in every scrape. */
const maxSaid = 100

const said = globalValue("effect-foundation/Telemetry/Prometheus/said", () => new Set<string>())

/** Whether it has not been said before. It counts as said from now on. */
export const isNews = ({ kind, name, reason }: Conflict): boolean => {
  const key = `${reason} ${kind} ${name}`
  if (said.has(key) || said.size >= maxSaid) return false
  said.add(key)
  return true
}

/** Where somebody reads it: a scrape is read by a program. */
export const say = ({ kind, name, reason }: Conflict): Effect.Effect<void> =>
  Effect.logWarning(`The ${kind} "${name}" is left out of the metrics for Prometheus: ${because[reason]}; rename one`)

const because = {
  kind: "a metric of another kind or unit has the name",
  name: "another metric has samples of that name",
  series: "another of that name has the same labels, and the two cannot be added up"
} as const
