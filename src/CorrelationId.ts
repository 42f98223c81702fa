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

  /** Runs the effect, and the fibers that it forks, under `id`; its log lines carry `correlationId`. */
  static readonly with: {
    (id: string): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    <A, E, R>(effect: Effect.Effect<A, E, R>, id: string): Effect.Effect<A, E, R>
  } = dual(2, <A, E, R>(effect: Effect.Effect<A, E, R>, id: string) =>
    effect.pipe(Effect.annotateLogs("correlationId", id), Effect.provideService(CorrelationId, id))
  )
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

/** Gives the fiber the cell that a continuation started with its fiber refs then shares. Costs no id. */
export const shareCorrelationId = (fiber: Fiber.RuntimeFiber<unknown, unknown>): { id: string | undefined } => {
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
 * it. Nothing to do where a set id or a span is in force, since the started fiber has that too.
 */
export const continueCorrelationId = (
  fiber: Fiber.RuntimeFiber<unknown, unknown>
): ((refs: FiberRefs.FiberRefs, fiberId: FiberId.Runtime) => FiberRefs.FiberRefs) | undefined => {
  if (fiber.currentSpan !== undefined || fiber.currentContext.unsafeMap.get(CorrelationId.key) !== undefined) return
  const cell = shareCorrelationId(fiber)
  return (refs, fiberId) => FiberRefs.updateAs(refs, { fiberId, fiberRef: made, value: cell })
}

/** The id in force in the fiber. Synchronous: to be called from within that fiber. */
export const correlationIdOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): string => {
  const set: unknown = fiber.currentContext.unsafeMap.get(CorrelationId.key)
  if (typeof set === "string") return set
  if (fiber.currentSpan !== undefined) return fiber.currentSpan.traceId
  const cell = shareCorrelationId(fiber)
  cell.id ??= crypto.randomUUID()
  return cell.id
}

/** The id in force in the fiber that runs now; outside of any fiber, a new one. */
export const unsafeCurrentCorrelationId = (): string => {
  const fiber = Fiber.getCurrentFiber()
  return Option.isSome(fiber) ? correlationIdOf(fiber.value) : crypto.randomUUID()
}
