import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { ConfigError } from "../FoundationError.js"
import { failure, forCaller } from "./Failure.js"
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
  /** Reads every source. */
  readonly all: Effect.Effect<Outcome, ConfigError>
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
    const load = loader(sources, state, report)
    yield* report.load(load(everySource, false))

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
        return Effect.flatMap(Effect.exit(load(taken.sources, taken.tentative)), (exit) =>
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
    return { request, all: request(everySource, false) }
  })

/** Reads sources anew and puts what they state in force, in one step once all are read. */
const loader =
  <R>(sources: ReadonlyArray<Source<R>>, state: State, report: Report) =>
  (indices: Iterable<number>, tentative: boolean): Effect.Effect<Outcome, ConfigError, R> =>
    Effect.gen(function* () {
      const next = state.layers.slice()
      for (const index of indices) {
        const layer = state.layers[index] as Layer // one for each source
        const tree = yield* treeOf(sources[index] as Source<R>) // the index is one of the list
        if (tentative && tree.size === 0 && layer.tree.size > 0) return "doubtful" as const
        next[index] = { ...layer, tree }
      }
      const accepted = state.swap(next)
      if (accepted instanceof Problem) return yield* failure(accepted)
      report.accepted(accepted)
      return accepted.changes.length === 0 ? "unchanged" : "changed"
    }).pipe(Effect.catchAll((error) => (tentative ? Effect.succeed("doubtful" as const) : error)))

const treeOf = <R>(source: Source<R>) =>
  Effect.flatMap(source.read, (record) => {
    const tree = ingest(record)
    return tree instanceof Problem ? failure(tree.in(source.name)) : Effect.succeed(tree)
  })

const closedError = failure(
  new Problem("source_unavailable", "the scope of the configuration has been closed, it is not read any more")
)
