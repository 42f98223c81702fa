import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pipeable from "effect/Pipeable"
import * as Runtime from "effect/Runtime"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { deadline } from "../deadline.js"
import { type SqlFailure, timedOut } from "./Failure.js"

/**
 * The connection of a client that has only one, for one after the other.
 *
 * It is `Effect.scoped(sql.reserve)` at a quarter of its cost, which was as much as what SQLite itself took for a store: a
 * connection that is free is taken in this very step, with no timer and no scope. Only who waits for it has a deadline.
 */
export class Reservation {
  private constructor(
    private readonly taking: Runtime.Runtime<Scope.Scope>,
    private readonly reserve: SqlClient["reserve"],
    private readonly holding: Holding,
    private readonly prompt: Prompt
  ) {}

  static readonly make = (sql: SqlClient): Effect.Effect<Reservation> =>
    Effect.gen(function* () {
      const holding = new Holding()
      const prompt = new Prompt()
      const taking = yield* Effect.runtime<Scope.Scope>().pipe(
        Effect.provideService(Scope.Scope, holding),
        Effect.withScheduler(prompt)
      )
      return new Reservation(taking, sql.reserve, holding, prompt)
    })

  /** Runs the effect while nobody else has the connection. Waits for it for at most so many milliseconds. */
  readonly whileHeld = <A, E>(
    use: (connection: Connection) => Effect.Effect<A, E>,
    millis: number
  ): Effect.Effect<A, E | SqlError | SqlFailure> =>
    Effect.uninterruptibleMask((restore): Effect.Effect<A, E | SqlError | SqlFailure> => {
      const taking = this.prompt.now(() => Runtime.runFork(this.taking, this.reserve, { immediate: true }))
      const taken = taking.unsafePoll()
      if (taken !== null) {
        return Exit.isSuccess(taken) ? this.released(restore(use(taken.value))) : Effect.failCause(taken.cause)
      }
      return Effect.flatMap(
        Effect.exit(restore(deadline(Fiber.await(taking), millis, timedOut))),
        (waited): Effect.Effect<A, E | SqlError | SqlFailure> => {
          if (Exit.isSuccess(waited)) {
            return Exit.isSuccess(waited.value)
              ? this.released(restore(use(waited.value.value)))
              : Effect.failCause(waited.value.cause)
          }
          return Effect.zipRight(this.givenUp(taking), Effect.failCause(waited.cause))
        }
      )
    })

  private released<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.matchCauseEffect(effect, {
      onFailure: (cause) => Effect.zipRight(this.holding.release, Effect.failCause(cause)),
      onSuccess: (value) => Effect.as(this.holding.release, value)
    })
  }

  /** It may have been given the connection at the last moment. */
  private givenUp(taking: Fiber.RuntimeFiber<Connection, SqlError>): Effect.Effect<void> {
    return Effect.flatMap(Fiber.interrupt(taking), (exit) =>
      Exit.isSuccess(exit) ? this.holding.release : Effect.void
    )
  }
}

/** The scope of whoever has the connection, which has one finalizer: that gives the connection back. */
class Holding extends Pipeable.Class() implements Scope.Scope {
  readonly [Scope.ScopeTypeId]: Scope.ScopeTypeId = Scope.ScopeTypeId
  readonly strategy = ExecutionStrategy.sequential
  release: Effect.Effect<void> = Effect.void

  addFinalizer(finalizer: Scope.Scope.Finalizer): Effect.Effect<void> {
    return Effect.sync(() => {
      this.release = Effect.asVoid(finalizer(Exit.void))
    })
  }

  fork(): Effect.Effect<Scope.CloseableScope> {
    return Effect.dieMessage("A reservation of a connection has no parts")
  }
}

/**
 * Runs the tasks of a fiber in the step in which it starts. A semaphore that is free answers by a task of its own, which
 * would else run after all others.
 */
class Prompt implements Scheduler.Scheduler {
  private tasks: Array<Scheduler.Task> | undefined

  now<A>(start: () => A): A {
    const tasks: Array<Scheduler.Task> = []
    this.tasks = tasks
    try {
      const started = start()
      for (const task of tasks) task()
      return started
    } finally {
      this.tasks = undefined
    }
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    return Scheduler.defaultScheduler.shouldYield(fiber)
  }

  scheduleTask(task: Scheduler.Task, priority: number, fiber?: Fiber.RuntimeFiber<unknown, unknown>): void {
    if (this.tasks === undefined) Scheduler.defaultScheduler.scheduleTask(task, priority, fiber)
    else this.tasks.push(task)
  }
}
