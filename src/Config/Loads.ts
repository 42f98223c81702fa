import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Condition } from "../Foundation/Health/Condition.js"
import type { ConfigError } from "../FoundationError.js"
import { deadline } from "../internal/deadline.js"
import { failure, forCaller } from "./Failure.js"
import { Failures } from "./Failures.js"
import type { Layer } from "./Merge.js"
import { Problem } from "./Problem.js"
import type { Outcome, Report } from "./Report.js"
import type { Source } from "./Source.js"
import type { State } from "./State.js"
import { ingest } from "./Tree.js"

/** Reads of the sources on request: one runs at a time, and those asked for meanwhile are one load after it. */
export interface Loads {
  /** What looks half-written is left alone by a tentative load, unless another asks in earnest to share it. */
  readonly request: (sources: Iterable<number>, tentative: boolean) => Effect.Effect<Outcome, ConfigError>
  /** Degraded while what a source stated last could not be put in force. */
  readonly health: Effect.Effect<Condition>
  /** Reads every source. */
  readonly all: Effect.Effect<Outcome, ConfigError>
  /**
   * Runs the work while nothing is loaded, one at a time, for at most so long, waiting included. It goes on where the
   * caller is interrupted, so that what is written is put in force.
   */
  readonly exclusive: <A>(
    work: (turn: Turn) => Effect.Effect<A, ConfigError>,
    within: Duration.DurationInput,
    late: () => ConfigError
  ) => Effect.Effect<A, ConfigError>
}

/** What work that has the sources to itself can do. */
export interface Turn {
  /** Reads one source again. */
  readonly load: (source: number) => Effect.Effect<Outcome, ConfigError>
  /** The sources of which what was read last was refused, so that what is in force is older. */
  readonly ahead: Set<number>
}

/** Sources that are to be read again, and those who wait for it. */
interface Request {
  readonly sources: Set<number>
  tentative: boolean
  readonly done: Deferred.Deferred<Outcome, ConfigError>
}

/** Loads every source, and then on request, as long as the scope is open. */
export const makeLoads = <R>(
  sources: ReadonlyArray<Source<R>>,
  state: State,
  report: Report
): Effect.Effect<Loads, ConfigError, R | Scope.Scope> =>
  Effect.gen(function* () {
    const everySource = Array.from(sources.keys())
    const ahead = new Set<number>()
    const failures = new Failures(sources)
    const load = loader(sources, state, report, ahead, failures)
    yield* report.load(load(everySource, false))
    const turns = yield* Effect.makeSemaphore(1)
    const scope = yield* Effect.scope
    const context = yield* Effect.context<R>()
    const turn: Turn = {
      load: (source) => Effect.provide(report.load(load([source], false)), context),
      ahead
    }

    const wake = yield* Queue.sliding<void>(1)
    const workerId = yield* Effect.fiberId
    let pending: Request | undefined
    let running: Request | undefined
    let closed = false
    const request: Loads["request"] = (indices, tentative) =>
      Effect.suspend(() => {
        if (closed) return closedError
        pending ??= { sources: new Set(), tentative, done: Deferred.unsafeMake(workerId) }
        for (const index of indices) pending.sources.add(index)
        pending.tentative &&= tentative
        wake.unsafeOffer(undefined)
        return Effect.mapError(Deferred.await(pending.done), forCaller)
      })
    const work = Queue.take(wake).pipe(
      Effect.flatMap(() => {
        const taken = pending
        if (taken === undefined) return Effect.void
        pending = undefined
        running = taken
        return Effect.flatMap(Effect.exit(turns.withPermits(1)(load(taken.sources, taken.tentative))), (exit) =>
          Deferred.done(taken.done, exit)
        )
      }),
      Effect.forever
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        report.feed.close()
        return Effect.forEach([running, pending], (one) =>
          one === undefined ? Effect.void : Deferred.completeWith(one.done, closedError)
        )
      })
    )
    yield* Effect.forkScoped(work)
    const exclusive: Loads["exclusive"] = (work, within, late) =>
      deadline(turns.withPermits(1)(Effect.suspend(() => work(turn))), within, late).pipe(
        // As a value: a fiber that ends in failure is logged as one with an error that nobody handles.
        Effect.exit,
        Effect.forkIn(scope),
        Effect.flatMap(Fiber.await),
        Effect.flatMap((end) => (Exit.isSuccess(end) ? end.value : closedError))
      )
    return { request, health: Effect.sync(() => failures.condition), all: request(everySource, false), exclusive }
  })

/** Reads sources anew and puts what they state in force, in one step once all are read. */
const loader =
  <R>(sources: ReadonlyArray<Source<R>>, state: State, report: Report, ahead: Set<number>, failures: Failures) =>
  (indices: Iterable<number>, tentative: boolean): Effect.Effect<Outcome, ConfigError, R> =>
    Effect.gen(function* () {
      const next = state.layers.slice()
      for (const index of indices) {
        const layer = state.layers[index] as Layer // one for each source
        ahead.add(index)
        const tree = yield* treeOf(sources[index] as Source<R>) // the index is one of the list
        if (tentative && tree.size === 0 && layer.tree.size > 0) return "doubtful" as const
        next[index] = { ...layer, tree }
      }
      const accepted = state.swap(next)
      if (accepted instanceof Problem) return yield* failure(accepted)
      for (const index of indices) ahead.delete(index)
      failures.clear(indices)
      report.accepted(accepted)
      return accepted.changes.length === 0 ? "unchanged" : "changed"
    }).pipe(
      Effect.catchAll((error) => {
        if (tentative) return Effect.succeed("doubtful" as const)
        failures.add(indices, error)
        return error
      })
    )

const treeOf = <R>(source: Source<R>) =>
  Effect.flatMap(source.read, (record) => {
    const tree = ingest(record)
    return tree instanceof Problem ? failure(tree.in(source.name)) : Effect.succeed(tree)
  })

const closedError = failure(
  new Problem("source_unavailable", "the scope of the configuration has been closed, it is not read any more")
)
