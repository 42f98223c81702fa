import type * as SqlClient from "@effect/sql/SqlClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { listen } from "../../internal/Sql/Notices.js"

export interface WatchOptions {
  /** The channel that is notified of changes, where the database can do that. */
  readonly channel: string | undefined
  /** The revision of the table. */
  readonly revision: Effect.Effect<string, SqlFailure>
  /** That of what was read last; none where the last read failed. */
  readonly seen: () => string | undefined
  readonly pollInterval: Duration.DurationInput
}

/** How often a table is looked at whose changes are notified: for the notice that a pooler between has swallowed. */
const lookAnyway = Duration.seconds(30)

/** The shortest rest between two looks. */
const shortestRest = Duration.millis(10)

/** The longest rest between two looks at a database that does not answer. */
const longestRest = Duration.seconds(10)

/**
 * An element whenever the table has another revision than what was read. One too when the database stops answering, so
 * that a failing read tells of it; then none until it answers again.
 */
export const watchTable = (
  sql: SqlClient.SqlClient,
  { channel, pollInterval, revision, seen }: WatchOptions
): Stream.Stream<void> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const wake = yield* Queue.sliding<void>(1)
      let listening = false
      if (channel !== undefined) {
        const look = (hears: boolean) => () => {
          listening = hears
          wake.unsafeOffer(undefined)
        }
        // Where it cannot listen it polls.
        yield* Effect.ignore(
          listen(
            sql,
            { channel, pollInterval },
            { notified: () => wake.unsafeOffer(undefined), resync: look(true), lost: look(false) }
          )
        )
      }
      const poll = Duration.max(pollInterval, shortestRest)
      let away: Duration.Duration | undefined
      const next = Effect.gen(function* () {
        while (true) {
          const rest = away ?? (listening && seen() !== undefined ? lookAnyway : poll)
          yield* Effect.raceFirst(Queue.take(wake), Effect.sleep(rest))
          const now = Option.getOrUndefined(yield* Effect.option(revision))
          const wasAway = away !== undefined
          away =
            now === undefined ? Duration.min(Duration.times(away ?? poll, wasAway ? 2 : 1), longestRest) : undefined
          if (wasAway ? now !== undefined : now !== seen()) return
        }
      })
      return Stream.repeatEffect(next)
    })
  )
