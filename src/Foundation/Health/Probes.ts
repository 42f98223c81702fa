import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Events } from "../../Events.js"
import { type Condition, degraded, listed, up, worst } from "./Condition.js"

/** What is asked of a component that does not know its health itself. */
const healthOf = ({ health }: { readonly health?: Effect.Effect<Condition> }): Effect.Effect<Condition> =>
  health ?? Effect.succeed(up)

export { healthOf }

/** The store by its head; the consumers besides, which must not hold up the answer of the store. */
export const eventsHealth = (events: Events.Service, maxLag: number, patience: Duration.DurationInput) =>
  Effect.map(
    Effect.all(
      [
        events.head,
        events.consumers.pipe(Effect.disconnect, Effect.timeoutOption(patience), Effect.orElseSucceed(Option.none))
      ],
      { concurrency: 2 }
    ),
    ([, consumers]) =>
      Option.match(consumers, {
        onNone: () => degraded("The state of the consumers cannot be read"),
        onSome: (consumers) => consumersHealth(consumers, maxLag)
      })
  )

const consumersHealth = (consumers: ReadonlyArray<Events.Consumer>, maxLag: number): Condition => {
  const named = (which: (consumer: Events.Consumer) => boolean, says: string): Condition => {
    const names = consumers.filter(which).map(({ name }) => name)
    return names.length === 0 ? up : degraded(`${says}: ${listed(names)}`)
  }
  return worst(
    named(({ deadLetters }) => deadLetters > 0, "Dead letters wait to be replayed or removed"),
    named(({ behind }) => behind > maxLag, `More than ${maxLag} events behind`)
  )
}
