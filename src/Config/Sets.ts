import * as Effect from "effect/Effect"
import type { ConfigError } from "../FoundationError.js"
import { type Accepted, equal } from "./Diff.js"
import { failure, toError } from "./Failure.js"
import type { Key } from "./Key.js"
import type { Loads, Turn } from "./Loads.js"
import type { Layer } from "./Merge.js"
import { parsePath } from "./Path.js"
import { Problem } from "./Problem.js"
import type { Report } from "./Report.js"
import type { Snapshot } from "./Snapshot.js"
import type { Source, Stated, Store, Write } from "./Source.js"
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
  since === undefined || equal(since.get(path), state.snapshot.get(path))
    ? undefined
    : new Problem(
        "conflict",
        "it has been changed meanwhile; look at the value that it has now, and set it again",
        path
      )

/**
 * Checked against everything first, then written, then put in force. While that goes on no source is read, so that no read
 * from before the write takes it out of force again.
 */
const through = (store: Store, index: number, state: State, report: Report, loads: Loads): Sets => {
  const source = (state.layers[index] as Layer).name // one for each source

  const inTurn = <A>(
    path: string,
    work: (turn: Turn) => Effect.Effect<A, ConfigError>
  ): Effect.Effect<A, ConfigError> =>
    Effect.zipRight(
      store.admits,
      loads.exclusive(work, store.deadline, () =>
        toError(
          new Problem("source_unavailable", "it was not written in time; see by a reload whether it was", path, source)
        )
      )
    )

  /** The layers, of which the source states this; a problem where it states nothing that makes sense. */
  const stating = (stated: Stated | Problem): ReadonlyArray<Layer> | Problem => {
    const tree = stated instanceof Problem ? stated : ingest(stated)
    if (tree instanceof Problem) return tree.in(source)
    return state.layers.map((layer, at) => (at === index ? { ...layer, tree } : layer))
  }

  /** Puts what the source states in force. What is refused stays ahead of what programs see. */
  const take = (
    turn: Turn,
    layers: ReadonlyArray<Layer> | Problem,
    key?: string | Key<unknown>
  ): Problem | undefined => {
    const accepted = layers instanceof Problem ? layers : state.swap(layers, key)
    if (accepted instanceof Problem) {
      turn.ahead.add(index)
      return accepted
    }
    turn.ahead.delete(index)
    report.accepted(accepted)
    return undefined
  }

  /** Has the source state what the function makes, or nothing where it makes nothing. */
  const write = (
    turn: Turn,
    key: string | Key<unknown>,
    make: () => Tree | Leaf | Problem | undefined,
    alone = false
  ): Effect.Effect<void, ConfigError> => {
    const path = state.canonical(pathOf(key))
    let staged: ReadonlyArray<Layer> | Problem = []
    const prepare = (refreshed?: Stated | Problem): Write | Problem => {
      const refused = refreshed === undefined ? undefined : take(turn, stating(refreshed))
      if (refused !== undefined) return refused
      const node = make()
      if (node instanceof Problem) return node
      const value = node === undefined ? undefined : jsonOf(path, node)
      if (value instanceof Problem) return value
      if (node !== undefined) state.conceal(hiddenIn(path, node))
      const check = (stated: Stated) => {
        staged = stating(stated)
        const next = staged instanceof Problem ? staged : state.trial(staged, key)
        if (next instanceof Problem) return next
        return node === undefined ? undefined : shadow(next, path, node, source)
      }
      return { value, check }
    }
    return store.write(path, prepare, alone).pipe(
      Effect.tapError(({ reason }) => (reason === "conflict" ? Effect.ignore(turn.load(index)) : Effect.void)),
      Effect.flatMap(() => {
        const refused = take(turn, staged, key)
        return refused === undefined ? Effect.void : failure(refused)
      })
    )
  }

  /** Where what the source states now was refused, what a program has seen is older, and nothing may be built on it. */
  const onGround = (turn: Turn) => Effect.suspend(() => (turn.ahead.has(index) ? turn.load(index) : Effect.void))

  return {
    set: (key, value, { since } = {}) =>
      inTurn(pathOf(key), (turn) => {
        if (since === undefined) return write(turn, key, () => state.draft(key, value))
        return Effect.zipRight(
          onGround(turn),
          write(turn, key, () => changedSince(state, pathOf(key), since) ?? state.draft(key, value))
        )
      }),
    unset: (key) =>
      inTurn(pathOf(key), (turn) =>
        write(turn, pathOf(key), () => {
          const segments = parsePath(pathOf(key))
          return segments instanceof Problem ? segments : undefined
        })
      ),
    update: (key, change) =>
      inTurn(pathOf(key), (turn) => {
        let next: unknown
        const make = () => {
          const read = state.read(key)
          if (read instanceof Problem) return read
          next = change(read.value)
          return state.draft(key, next)
        }
        return Effect.zipRight(
          onGround(turn),
          Effect.map(write(turn, key, make, true), () => next)
        )
      })
  }
}
