import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import { dual } from "effect/Function"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"

/**
 * The id that the errors, events, telemetry and logs of one piece of work share.
 *
 * It is, in this order: the id that was set with {@link CorrelationId.with} (or by providing the reference), the trace
 * id of the current span, or an id made when it is first read and then kept by that fiber.
 *
 * An id that is made belongs to one fiber: concurrent children of one piece of work each make their own. Set an id for
 * each request, and all of its fibers share it.
 *
 * An id has 1 to 128 visible ASCII characters. Of what is set, or comes as a trace id, the first 128 characters count, and
 * `_` replaces each one that is not visible ASCII, such as a space or a newline. An empty id counts as not set.
 *
 * @example
 * import { CorrelationId } from "effect-foundation"
 * import { Effect } from "effect"
 *
 * const handle = Effect.gen(function* () {
 *   const id = yield* CorrelationId.current
 *   yield* Effect.log(`handled ${id}`) // the log line carries correlationId=req-1 too
 * }).pipe(CorrelationId.with("req-1"))
 *
 * Effect.runSync(handle)
 */
export class CorrelationId extends Context.Reference<CorrelationId>()("effect-foundation/CorrelationId", {
  defaultValue: (): string | undefined => undefined
}) {
  /** The id in force. Two reads in one fiber answer the same. */
  static readonly current: Effect.Effect<string> = Effect.withFiberRuntime((fiber) =>
    Effect.succeed(correlationIdOf(fiber))
  )

  /**
   * Runs the effect, and the fibers that it forks, under `id`; its log lines carry `correlationId`. An `id` from outside,
   * such as a header, may be any string: see {@link CorrelationId} for what becomes of it. An empty one changes nothing.
   */
  static readonly with: {
    (id: string): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    <A, E, R>(effect: Effect.Effect<A, E, R>, id: string): Effect.Effect<A, E, R>
  } = dual(2, <A, E, R>(effect: Effect.Effect<A, E, R>, given: string) => {
    if (given === "") return effect
    const id = valid(given)
    return effect.pipe(Effect.annotateLogs("correlationId", id), Effect.provideService(CorrelationId, id))
  })
}

const maxLength = 128
const isValid = new RegExp(`^[!-~]{1,${maxLength}}$`)

/** Whether the text is an id as it stands. */
export const isCorrelationId = (text: string): boolean => isValid.test(text)

/** What an id that is not empty is taken as: safe in an event, in a log line and in a header. */
const valid = (id: string): string => (isValid.test(id) ? id : id.slice(0, maxLength).replace(/[^!-~]/g, "_"))

/** The id that the fiber was given, as it was given: set, or as the trace id of its span. */
const givenTo = (fiber: Fiber.RuntimeFiber<unknown, unknown>): string | undefined => {
  const set: unknown = fiber.currentContext.unsafeMap.get(CorrelationId.key)
  const given = typeof set === "string" && set !== "" ? set : fiber.currentSpan?.traceId
  return given === "" ? undefined : given
}

/**
 * The made id of a fiber, in a cell, so that a fiber which continues the work of another (as a timeout does) can share
 * the id before it is made. A forked fiber starts anew: the fibers that a server forks are separate pieces of work.
 */
const made: FiberRef.FiberRef<{ id: string | undefined } | undefined> = globalValue(
  "effect-foundation/CorrelationId/made",
  () =>
    FiberRef.unsafeMake<{ id: string | undefined } | undefined>(undefined, {
      fork: () => undefined,
      join: (parent) => parent
    })
)

/** The cell of the fiber, which a continuation of its work can share before there is an id in it. */
const cellOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): { id: string | undefined } => {
  let cell = fiber.getFiberRef(made)
  if (cell === undefined) {
    cell = { id: undefined }
    // Every fiber of the runtime has this method; the public interface names only the reading one.
    ;(fiber as unknown as { setFiberRef: <A>(ref: FiberRef.FiberRef<A>, value: A) => void }).setFiberRef(made, cell)
  }
  return cell
}

/**
 * For `updateRefs` of `Runtime.runFork`: the fiber that it starts shares the made id of this one, whichever of them makes
 * it. Nothing to do where this fiber was given an id, since the started fiber was too.
 */
export const continueCorrelationId = (
  fiber: Fiber.RuntimeFiber<unknown, unknown>
): ((refs: FiberRefs.FiberRefs, fiberId: FiberId.Runtime) => FiberRefs.FiberRefs) | undefined => {
  if (givenTo(fiber) !== undefined) return
  const cell = cellOf(fiber)
  return (refs, fiberId) => FiberRefs.updateAs(refs, { fiberId, fiberRef: made, value: cell })
}

/** The id in force in the fiber. Synchronous: to be called from within that fiber. */
export const correlationIdOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): string => {
  const given = givenTo(fiber)
  if (given !== undefined) return valid(given)
  const cell = cellOf(fiber)
  cell.id ??= crypto.randomUUID()
  return cell.id
}

/** The id in force in the fiber that runs now; outside of any fiber, a new one. */
export const unsafeCurrentCorrelationId = (): string => {
  const fiber = Fiber.getCurrentFiber()
  return Option.isSome(fiber) ? correlationIdOf(fiber.value) : crypto.randomUUID()
}
