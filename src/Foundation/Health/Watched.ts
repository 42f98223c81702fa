import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { isFoundationError } from "../../FoundationError.js"
import { clockOf } from "../../internal/monotonic.js"
import { looksSecret } from "../../internal/secret.js"
import { type Condition, down, type Status, up } from "./Condition.js"

/** A condition, and since when. */
export interface Component extends Condition {
  /**
   * When the status became what it is, in milliseconds since the epoch: when that was first seen, since it is looked for
   * only when somebody asks.
   */
  readonly since: number
}

/** What is asked how it is: a condition, or anything else for up. Its failure is down. */
export type Probe<R = never> = Effect.Effect<unknown, unknown, R>

const longestReason = 256

/** What is remembered of one component between two looks. */
class Watched {
  private status: Status | undefined
  private since = 0
  /** The probe that has not ended yet, of which there is one at most: who looks meanwhile waits for the same. */
  private running: Fiber.RuntimeFiber<Condition> | undefined

  /** Asks, and waits at most so long for the answer. The probe need not let itself be interrupted. */
  look<R>(probe: Probe<R>, deadline: Duration.Duration): Effect.Effect<Component, never, R> {
    return Effect.flatMap(this.start(probe), (running) =>
      Effect.flatMap(Fiber.await(running).pipe(Effect.interruptible, Effect.timeoutOption(deadline)), (answer) => {
        // Gives back what it holds, if it can. Until it has, no other is started.
        if (Option.isNone(answer)) running.unsafeInterruptAsFork(running.id())
        return this.note(
          Option.match(answer, {
            onNone: () => down(`It did not answer within ${Duration.format(deadline)}`),
            onSome: (exit) => (Exit.isSuccess(exit) ? exit.value : down("It did not answer in time"))
          })
        )
      })
    )
  }

  private start<R>(probe: Probe<R>): Effect.Effect<Fiber.RuntimeFiber<Condition>, never, R> {
    return Effect.suspend(() => {
      if (this.running !== undefined) return Effect.succeed(this.running)
      return Effect.tap(Effect.forkDaemon(Effect.interruptible(conditionOf(probe))), (running) =>
        Effect.sync(() => {
          this.running = running
          running.addObserver(() => {
            this.running = undefined
          })
        })
      )
    }).pipe(Effect.uninterruptible)
  }

  private note({ reason, status }: Condition): Effect.Effect<Component> {
    return Effect.withFiberRuntime((fiber) => {
      if (this.status !== status) {
        this.status = status
        this.since = clockOf(fiber).unsafeCurrentTimeMillis()
      }
      const { since } = this
      return Effect.succeed(reason === undefined ? { status, since } : { status, since, reason: shown(reason) })
    })
  }
}

/** What a probe's end says. */
const conditionOf = <R>(probe: Probe<R>): Effect.Effect<Condition, never, R> =>
  Effect.matchCauseEffect(probe, {
    onSuccess: (value) => Effect.succeed(isCondition(value) ? value : up),
    onFailure: (cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.interrupt
        : Effect.as(Effect.logDebug("A component does not answer for its health", cause), down(reasonOf(cause)))
  })

const isCondition = (value: unknown): value is Condition =>
  typeof value === "object" &&
  value !== null &&
  "status" in value &&
  (value.status === "up" || value.status === "degraded" || value.status === "down")

/** Our own errors quote nothing that is secret. Of others only the name is told: the message may hold anything. */
const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  if (isFoundationError(error)) return error.message
  const how = Option.isSome(Cause.failureOption(cause)) ? "failed" : "died"
  const named =
    typeof error === "object" && error !== null && ("_tag" in error ? error._tag : Reflect.get(error, "name"))
  return typeof named === "string" && named !== "" ? `It ${how} with ${named}` : `It ${how}`
}

const shown = (reason: string): string => {
  if (looksSecret(reason)) return "Withheld, since it looks as if it holds a secret: see the log"
  return reason.length > longestReason ? `${reason.slice(0, longestReason)}…` : reason
}

/** By what is watched, so that it is forgotten with that. */
const known = new WeakMap<object, Watched>()

export const watched = (component: object): Watched => {
  const found = known.get(component)
  if (found !== undefined) return found
  const made = new Watched()
  known.set(component, made)
  return made
}
