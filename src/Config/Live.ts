import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Config } from "../Config.js"
import type { ConfigError } from "../FoundationError.js"
import { Behind } from "../internal/access.js"
import { Telemetry } from "../Telemetry.js"
import { equal } from "./Diff.js"
import { failure, settled } from "./Failure.js"
import type { Key } from "./Key.js"
import { makeLoads } from "./Loads.js"
import { Problem } from "./Problem.js"
import { makeProvider } from "./Provider.js"
import { Report } from "./Report.js"
import { setting } from "./Sets.js"
import type { Source } from "./Source.js"
import { pathOf, readIn, State } from "./State.js"
import type { Default } from "./Typed.js"
import { watchSources } from "./Watches.js"

type GetNow = (key: string | Key<unknown>, fallback?: Default) => Effect.Effect<unknown, ConfigError>

export const getsNow = new Behind<Config.Service["get"], GetNow>()

/** The service over the sources. What is in force is decided by the state, without Effect; the rest feeds it and tells of it. */
export const makeLive = <R>(
  given: ReadonlyArray<Source<R>>,
  keys: ReadonlyArray<Key<unknown>>
): Effect.Effect<Config.Service, ConfigError, R | Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const sources = yield* Effect.forEach(given, (source) => source.open ?? Effect.succeed(source))
    const state = new State(
      sources.map(({ loose = false, name, text = false }) => ({ name, text, loose, tree: new Map() })),
      sources.flatMap((source) => source.secrets ?? [])
    )
    for (const key of keys) {
      const problem = state.declare(key)
      if (problem !== undefined) return yield* failure(problem)
    }
    const report = new Report(yield* Telemetry, state)
    const loads = yield* makeLoads(sources, state, report)
    yield* watchSources(sources, loads, report)
    const sets = setting(sources, state, report, loads)

    const watch = (key: string | Key<unknown>, fallback?: Default): Stream.Stream<unknown, ConfigError> =>
      report.feed.stream((accepted) => {
        const path = pathOf(key)
        const first = settled(state.read(key, fallback))
        let last = state.snapshot.get(path)
        const later = accepted.pipe(
          Stream.filter(({ snapshot }) => {
            const now = snapshot.get(path)
            if (equal(last, now)) return false
            last = now
            return true
          }),
          // The value of that snapshot: by the time it is taken, there may be a newer one, which comes next.
          Stream.mapEffect(({ snapshot }) => settled(readIn(snapshot, key, fallback)))
        )
        return Stream.concat(Stream.fromEffect(first), later)
      })

    // The implementations of overloads know less of their arguments than the overloads.
    const getNow: GetNow = (key, fallback) => settled(state.read(key, fallback))

    const get = ((key: string | Key<unknown>, fallback?: Default) =>
      Effect.suspend(() => getNow(key, fallback))) as Config.Service["get"]
    getsNow.set(get, getNow)

    const service: Config.Service = {
      get,
      set: sets.set,
      unset: sets.unset,
      // What is at the path of a key is of its type.
      update: sets.update as Config.Service["update"],
      reload: Effect.asVoid(report.load(loads.all)),
      changes: report.feed.stream(Stream.mapConcat(({ changes }) => changes)),
      watch: watch as Config.Service["watch"],
      origin: (key) =>
        Effect.suspend(() => {
          const origin = state.origin(key)
          return origin instanceof Problem ? failure(origin) : Effect.succeed(Option.fromNullable(origin))
        }),
      snapshot: Effect.sync(() => state.snapshot),
      unsafeSnapshot: () => state.snapshot,
      provider: makeProvider(() => state.snapshot),
      health: loads.health
    }
    return service
  })
