import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { ConfigError } from "../FoundationError.js"
import { type Accepted, equal } from "./Diff.js"
import { failure, settled, toError } from "./Failure.js"
import type { Key } from "./Key.js"
import type { Loads, Turn } from "./Loads.js"
import type { Layer } from "./Merge.js"
import { parsePath } from "./Path.js"
import { Problem } from "./Problem.js"
import type { Report } from "./Report.js"
import type { Snapshot } from "./Snapshot.js"
import type { Source, Store } from "./Source.js"
import { pathOf, type State } from "./State.js"
import { ingest, type Leaf, type Tree } from "./Tree.js"
import { hiddenIn, jsonOf, shadow } from "./Written.js"

export interface SetOptions {
  /** Sets only if the value is the one of this snapshot still; else fails with reason `conflict`. */
  readonly since?: Snapshot
}

/** What programs do to the configuration, by path or key. */
export interface Sets {
  readonly set: (key: string | Key<unknown>, value: unknown, options?: SetOptions) => Effect.Effect<void, ConfigError>
  readonly unset: (key: string | Key<unknown>) => Effect.Effect<void, ConfigError>
  readonly update: (
    key: string | Key<unknown>,
    change: (value: unknown) => unknown
  ) => Effect.Effect<unknown, ConfigError>
}

/** What is set goes to the last source that is written to; where there is none, on top of all sources. */
export const setting = (sources: ReadonlyArray<Source<unknown>>, state: State, report: Report, loads: Loads): Sets => {
  const index = sources.findLastIndex(({ store }) => store !== undefined)
  const store = sources[index]?.store
  return store === undefined ? inMemory(state, report) : through(store, index, state, report, loads)
}

/** Each is one step. */
const inMemory = (state: State, report: Report): Sets => {
  const put = (change: () => Accepted | Problem): Effect.Effect<void, ConfigError> =>
    Effect.suspend(() => accepting(change(), report))
  return {
    set: (key, value, { since } = {}) => put(() => changedSince(state, pathOf(key), since) ?? state.set(key, value)),
    unset: (key) => put(() => state.unset(key)),
    update: (key, change) =>
      Effect.suspend(() => {
        const read = state.read(key)
        if (read instanceof Problem) return failure(read)
        const next = change(read.value)
        return Effect.as(accepting(state.set(key, next), report), next)
      })
  }
}

const accepting = (accepted: Accepted | Problem, report: Report): Effect.Effect<void, ConfigError> => {
  if (accepted instanceof Problem) return failure(accepted)
  report.accepted(accepted)
  return Effect.void
}

const changedSince = (state: State, path: string, since: Snapshot | undefined): Problem | undefined =>
  since === undefined || equal(since.get(path), state.snapshot.get(path)) ? undefined : conflict(path)

const conflict = (path: string, source?: string): Problem =>
  new Problem(
    "conflict",
    "it has been changed meanwhile; look at the value that it has now, and set it again",
    path,
    source
  )

/** How long `update` rests before it tries again, where another process came first. */
const rest = Schedule.jittered(Schedule.union(Schedule.exponential("5 millis", 1.5), Schedule.spaced("100 millis")))

/**
 * Checked against everything first, then written, then put in force. While that goes on no source is read, so that no read
 * from before the write takes it out of force again.
 */
const through = (store: Store, index: number, state: State, report: Report, loads: Loads): Sets => {
  const inTurn = <A>(
    path: string,
    work: (turn: Turn) => Effect.Effect<A, ConfigError>
  ): Effect.Effect<A, ConfigError> =>
    Effect.zipRight(
      store.admits,
      loads.exclusive(work, store.deadline, () =>
        toError(
          new Problem(
            "source_unavailable",
            "the source did not answer in time; whether it was written is told by a reload",
            path,
            state.layers[index]?.name
          )
        )
      )
    )

  /** Has the source state the value at the path, or nothing there. */
  const write = (turn: Turn, key: string | Key<unknown>, path: string, node: Tree | Leaf | undefined) => {
    const json = node === undefined ? undefined : jsonOf(path, node)
    if (json instanceof Problem) return failure(json)
    if (node !== undefined) state.conceal(hiddenIn(path, node))
    const staged = store.stage(path, json)
    if (staged instanceof Problem) return failure(staged)
    const tree = ingest(staged.record)
    if (tree instanceof Problem) return failure(tree)
    const before = state.layers[index] as Layer // one for each source
    const setKey = node === undefined ? path : key
    const layers = () => state.layers.with(index, { ...before, tree })
    const next = state.trial(layers(), setKey)
    if (next instanceof Problem) return failure(next)
    const problem = node === undefined ? undefined : shadow(next, path, node, before.name)
    if (problem !== undefined) return failure(problem)
    return staged.commit.pipe(
      Effect.tapError(({ reason }) => (reason === "conflict" ? Effect.ignore(turn.load(index)) : Effect.void)),
      Effect.zipRight(Effect.suspend(() => accepting(state.swap(layers(), setKey), report)))
    )
  }

  /** Where what the source states now was refused, what a program has seen is older, and nothing may be built on it. */
  const onGround = (turn: Turn) => (turn.isAhead(index) ? Effect.asVoid(turn.load(index)) : Effect.void)

  const put = (turn: Turn, key: string | Key<unknown>, value: unknown) => {
    const node = state.draft(key, value)
    return node instanceof Problem ? failure(node) : write(turn, key, state.canonical(pathOf(key)), node)
  }

  return {
    set: (key, value, { since } = {}) =>
      inTurn(pathOf(key), (turn) => {
        if (since === undefined) return put(turn, key, value)
        return Effect.flatMap(onGround(turn), () => {
          const problem = changedSince(state, pathOf(key), since)
          return problem === undefined ? put(turn, key, value) : failure(problem)
        })
      }),
    unset: (key) =>
      inTurn(pathOf(key), (turn) => {
        const segments = parsePath(pathOf(key))
        return segments instanceof Problem
          ? failure(segments)
          : write(turn, key, state.canonical(pathOf(key)), undefined)
      }),
    update: (key, change) =>
      inTurn(pathOf(key), (turn) =>
        onGround(turn).pipe(
          Effect.flatMap(() => settled(state.read(key))),
          Effect.flatMap((value) => {
            const next = change(value)
            return Effect.as(put(turn, key, next), next)
          })
        )
      ).pipe(
        Effect.retry({
          while: ({ reason }) => reason === "conflict",
          schedule: Schedule.upTo(rest, Duration.decode(store.deadline))
        })
      )
  }
}
