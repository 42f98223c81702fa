import type { SqlClient } from "@effect/sql/SqlClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as RcRef from "effect/RcRef"
import * as Scope from "effect/Scope"
import type { SqlFailure } from "../../internal/Sql/Failure.js"
import { listen } from "../../internal/Sql/Notices.js"
import { Signals } from "../Signals.js"
import type { Notification } from "./PostgresCall.js"

/** Who waits for new events, and what tells of them. */
export interface Changes {
  /** This process has stored. */
  readonly raise: () => void
  /** As `changes` of a backend. */
  readonly listen: Effect.Effect<Effect.Effect<void>, SqlFailure, Scope.Scope>
}

/**
 * Hears of what other processes store by the notices of the database, for as long as anybody listens. Where they cannot
 * be heard, every listener is woken at each `pollInterval`, and looks by itself.
 */
export const makeChanges = (
  sql: SqlClient,
  { attending, channel, payload }: Notification,
  pollInterval: Duration.Duration
): Effect.Effect<Changes, never, Scope.Scope> =>
  Effect.gen(function* () {
    const signals = new Signals()
    const notices = Effect.gen(function* () {
      let deaf = true
      yield* Effect.sync(() => {
        if (deaf) signals.raise()
      }).pipe(Effect.delay(pollInterval), Effect.forever, Effect.forkScoped)
      yield* listen(
        sql,
        { channel, attending, pollInterval },
        {
          // What this process stores in transactions of its own it has told already.
          notified: (by) => by === payload || signals.raise(),
          resync: () => {
            deaf = false
            signals.raise()
          },
          lost: () => {
            deaf = true
          }
        }
      )
    })
    // RcRef leaves open what was acquired halfway, and what is forked where it may not be interrupted never ends.
    const acquire = Effect.uninterruptible(
      Effect.gen(function* () {
        const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
        yield* Effect.interruptible(Scope.extend(notices, scope)).pipe(
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
        )
      })
    )
    const shared = yield* RcRef.make({ acquire })
    return {
      raise: () => signals.raise(),
      listen: Effect.zipRight(RcRef.get(shared), signals.listen)
    }
  })
