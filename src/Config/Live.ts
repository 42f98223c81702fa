import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Config } from "../Config.js"
import { unsafeCurrentCorrelationId } from "../CorrelationId.js"
import { ConfigError } from "../FoundationError.js"
import { monotonicMicros } from "../internal/monotonic.js"
import { Telemetry } from "../Telemetry.js"
import { Declared } from "./Declared.js"
import { diff, equal, identical } from "./Diff.js"
import { Feed } from "./Feed.js"
import type { Key } from "./Key.js"
import { type Layer, merge, type Overrides, setSource } from "./Merge.js"
import { parsePath } from "./Path.js"
import { Problem } from "./Problem.js"
import { makeProvider } from "./Provider.js"
import type { Decoded, Snapshot } from "./Snapshot.js"
import type { Source } from "./Source.js"
import { ingest, ingestAt } from "./Tree.js"
import { type Default, kindOf, readAs } from "./Typed.js"

/** At most so many values are set on top of the sources. */
const maxOverrides = 10_000

/** A file that a watcher finds empty or broken is read again after so long, before anybody believes it. */
const settleTime = Duration.millis(250)

/** How long a watch that failed rests. */
const watchAgainAfter = Schedule.spaced("1 second")

/** Sources that are to be read again, and those who wait for it. */
interface Request {
  readonly sources: Set<number>
  /** Whether what looks half-written is to be left alone. */
  tentative: boolean
  readonly done: Deferred.Deferred<Outcome, ConfigError>
}

type Outcome = "changed" | "unchanged" | "doubtful"

/** The service over the sources. Everything that decides is in the pure parts; here they are read, swapped and told of. */
export const makeLive = <R>(
  sources: ReadonlyArray<Source<R>>,
  keys: ReadonlyArray<Key<unknown>>
): Effect.Effect<Config.Service, ConfigError, R | Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const context = yield* Effect.context<R>()
    const feed = new Feed()
    const declared = new Declared()
    for (const secret of sources.flatMap((source) => source.secrets ?? [])) declared.secrets.add(secret)

    let layers: ReadonlyArray<Layer> = sources.map(({ loose = false, name, text = false }) => ({
      name,
      text,
      loose,
      tree: new Map()
    }))
    let overrides: Overrides = new Map()
    let current = merge(layers, overrides, declared.secrets)

    /** Puts the layers and overrides in force, in one step, if all that is expected of them holds. */
    const swap = (nextLayers: ReadonlyArray<Layer>, nextOverrides: Overrides, key?: Key<unknown>): Problem | number => {
      const next = merge(nextLayers, nextOverrides, declared.secrets)
      const read = key?.in(next)
      const problem = read instanceof Problem ? read : declared.check(next)
      if (problem !== undefined) return problem
      layers = nextLayers
      overrides = nextOverrides
      if (identical(current, next)) return 0
      const changes = diff(current, next)
      current = next
      if (changes.length > 0) feed.publish({ snapshot: next, changes })
      if (telemetry.enabled("config.change")) {
        for (const { key, source } of changes) telemetry.emit("config.change", { count: 1 }, { key, source })
      }
      return changes.length
    }

    /** Values that have turned out to be secret are hidden from now on; no value is another. */
    const hide = (): void => {
      current = merge(layers, overrides, declared.secrets)
    }

    const readSource = (index: number) => {
      const source = sources[index] as Source<R> // the index is one of the list
      return source.read.pipe(
        Effect.provide(context),
        Effect.flatMap((record) => {
          const tree = ingest(record)
          return tree instanceof Problem ? failure(tree.in(source.name)) : Effect.succeed(tree)
        })
      )
    }

    /** Reads the sources anew and puts them in force. Only one runs at a time. */
    const load = (request: Pick<Request, "sources" | "tentative">): Effect.Effect<Outcome, ConfigError> =>
      Effect.gen(function* () {
        const next = layers.slice()
        for (const index of request.sources) {
          const layer = layers[index] as Layer // one for each source
          const tree = yield* readSource(index)
          if (request.tentative && tree.size === 0 && layer.tree.size > 0) return "doubtful" as const
          next[index] = { ...layer, tree }
        }
        const changed = swap(next, overrides)
        if (changed instanceof Problem) return yield* failure(changed)
        return changed === 0 ? "unchanged" : "changed"
      }).pipe(Effect.catchAll((error) => (request.tentative ? Effect.succeed("doubtful" as const) : error)))

    const everySource = () => new Set(sources.keys())

    const reported = <E extends ConfigError>(
      loading: Effect.Effect<Outcome, E>,
      unworthy: (exit: Exit.Exit<Outcome, E>) => boolean
    ) =>
      Effect.clockWith((clock: Clock.Clock) => {
        const started = monotonicMicros(clock)
        const before = current
        return Effect.onExit(loading, (exit) =>
          Effect.sync(() => {
            if (!telemetry.enabled("config.reload") || unworthy(exit)) return
            const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
            telemetry.emit(
              "config.reload",
              {
                duration: (monotonicMicros(clock) - started) / 1000,
                changed: Exit.isSuccess(exit) ? diff(before, current).length : 0
              },
              {
                outcome: Exit.isSuccess(exit) ? exit.value : "failure",
                reason: error?.reason,
                path: error?.path,
                source: error?.source
              }
            )
          })
        )
      })

    for (const key of keys) {
      if (key.problem !== undefined) return yield* failure(key.problem)
      declared.addKey(key)
    }
    yield* reported(load({ sources: everySource(), tentative: false }), () => false)

    // Requests that come while a load runs are one load after it.
    const wake = yield* Queue.sliding<void>(1)
    let pending: Request | undefined
    let running: Request | undefined
    let closed = false
    const request = (indices: Iterable<number>, tentative: boolean): Effect.Effect<Outcome, ConfigError> =>
      Effect.suspend(() => {
        if (closed) return closedError()
        pending ??= { sources: new Set(), tentative, done: Deferred.unsafeMake(workerId) }
        for (const index of indices) pending.sources.add(index)
        pending.tentative &&= tentative
        wake.unsafeOffer(undefined)
        return Effect.mapError(Deferred.await(pending.done), forCaller)
      })
    const workerId = yield* Effect.fiberId
    const work = Queue.take(wake).pipe(
      Effect.flatMap(() => {
        const taken = pending
        if (taken === undefined) return Effect.void
        pending = undefined
        running = taken
        return Effect.flatMap(Effect.exit(load(taken)), (exit) => Deferred.done(taken.done, exit))
      }),
      Effect.forever
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        feed.close()
        return Effect.forEach([running, pending], (one) =>
          one === undefined ? Effect.void : Deferred.completeWith(one.done, closedError())
        )
      })
    )
    yield* Effect.forkScoped(work)

    // A watcher tells of what it did, and of a failure once, not at each look.
    const watchSource = (source: Source<R>, index: number) => {
      if (source.watch === undefined) return Effect.void
      let told: string | undefined
      const refresh = request([index], true).pipe(
        Effect.flatMap((outcome) =>
          outcome === "doubtful"
            ? Effect.zipRight(Effect.sleep(settleTime), request([index], false))
            : Effect.succeed(outcome)
        ),
        (loading) =>
          reported(loading, (exit) =>
            Exit.isSuccess(exit)
              ? exit.value === "unchanged" && told === undefined
              : Option.exists(Cause.failureOption(exit.cause), ({ message }) => message === told)
          ),
        Effect.matchCauseEffect({
          onSuccess: () => {
            if (told === undefined) return Effect.void
            told = undefined
            return Effect.logInfo(`The configuration source ${source.name} can be used again`)
          },
          onFailure: (cause) => {
            if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
            const message = Option.match(Cause.failureOption(cause), {
              onNone: () => Cause.pretty(cause),
              onSome: (error) => error.message
            })
            if (message === told) return Effect.void
            told = message
            return Effect.logWarning(`${message} The last good configuration stays in force.`)
          }
        })
      )
      return Stream.runForEach(source.watch, () => refresh).pipe(
        Effect.provide(context),
        Effect.tapErrorCause((cause) =>
          Effect.logWarning(`The watch of ${source.name} failed, and starts anew`, cause)
        ),
        Effect.sandbox,
        Effect.retry(watchAgainAfter),
        Effect.ignore,
        Effect.forkScoped
      )
    }
    yield* Effect.forEach(sources, watchSource, { discard: true })

    const read = (key: string | Key<unknown>, fallback?: Default): Decoded => {
      if (typeof key !== "string") {
        const decoded = key.in(current)
        if (!(decoded instanceof Problem) && declared.addKey(key)) hide()
        return decoded
      }
      const entry = current.entry(key)
      if (fallback === undefined) {
        if (entry !== undefined) return entry
        const segments = parsePath(key)
        return segments instanceof Problem ? segments : nothing
      }
      const kind = kindOf(fallback)
      if (kind === undefined)
        return new Problem("invalid_value", "its default is of no type that a value can have", key)
      if (entry === undefined || entry.value === null) {
        const segments = parsePath(key)
        if (segments instanceof Problem) return segments
        if (declared.addKind(key, kind)) hide()
        return { value: fallback }
      }
      const decoded = readAs(kind, entry)
      if (!(decoded instanceof Problem) && declared.addKind(key, kind)) hide()
      return decoded
    }

    const set = (key: string | Key<unknown>, value: unknown): Effect.Effect<void, ConfigError> =>
      Effect.suspend(() => {
        const path = typeof key === "string" ? key : key.path
        const encoded = typeof key === "string" ? { value } : key.encode(value)
        const ingested = encoded instanceof Problem ? encoded : overriding(path, encoded.value)
        if (ingested instanceof Problem) return failure(ingested.in(setSource))
        const next = without(overrides, path)
        if (next.size >= maxOverrides) {
          return failure(
            new Problem("invalid_value", `${maxOverrides} values are set already; unset some`, path, setSource)
          )
        }
        next.set(path, ingested)
        const changed = swap(layers, next, typeof key === "string" ? undefined : key)
        if (changed instanceof Problem) return failure(changed.in(setSource))
        if (typeof key !== "string" && declared.addKey(key)) hide()
        return Effect.void
      })

    const unset = (key: string | Key<unknown>): Effect.Effect<void, ConfigError> =>
      Effect.suspend(() => {
        const path = typeof key === "string" ? key : key.path
        const segments = parsePath(path)
        if (segments instanceof Problem) return failure(segments)
        const changed = swap(layers, without(overrides, path))
        return changed instanceof Problem ? failure(changed) : Effect.void
      })

    const watch = (key: string | Key<unknown>, fallback?: Default): Stream.Stream<unknown, ConfigError> => {
      const path = typeof key === "string" ? key : key.path
      return feed.stream((accepted) => {
        const first = settled(read(key, fallback))
        let last = current.get(path)
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
    }

    const service: Config.Service = {
      // The implementations of overloads know less of their arguments than the overloads.
      get: ((key: string | Key<unknown>, fallback?: Default) =>
        Effect.suspend(() => settled(read(key, fallback)))) as Config.Service["get"],
      set,
      unset,
      reload: Effect.suspend(() => reported(request(everySource(), false), () => false)).pipe(Effect.asVoid),
      changes: feed.stream(Stream.mapConcat(({ changes }) => changes)),
      watch: watch as Config.Service["watch"],
      origin: (key) =>
        Effect.suspend(() => {
          const path = typeof key === "string" ? key : key.path
          const segments = parsePath(path)
          return segments instanceof Problem
            ? failure(segments)
            : Effect.succeed(Option.fromNullable(current.origin(path)))
        }),
      snapshot: Effect.sync(() => current),
      unsafeSnapshot: () => current,
      provider: makeProvider(() => current)
    }
    return service
  })

const nothing: Decoded = { value: undefined }

const settled = (decoded: Decoded): Effect.Effect<unknown, ConfigError> =>
  decoded instanceof Problem ? failure(decoded) : Effect.succeed(decoded.value)

const readIn = (snapshot: Snapshot, key: string | Key<unknown>, fallback: Default | undefined): Decoded => {
  if (typeof key !== "string") return key.in(snapshot)
  const entry = snapshot.entry(key)
  const kind = fallback === undefined ? undefined : kindOf(fallback)
  if (kind === undefined) return entry ?? nothing
  return entry === undefined || entry.value === null ? { value: fallback } : readAs(kind, entry)
}

const overriding = (path: string, value: unknown) => {
  const segments = parsePath(path)
  if (segments instanceof Problem) return segments
  return value === undefined
    ? new Problem("invalid_value", "undefined cannot be set; unset the key to have the value of the sources", path)
    : ingestAt(segments, value)
}

/** The overrides, less that of the path and those beneath it. */
const without = (
  overrides: Overrides,
  path: string
): Map<string, Overrides extends ReadonlyMap<string, infer V> ? V : never> => {
  const out = new Map(overrides)
  for (const set of overrides.keys()) if (set === path || set.startsWith(`${path}.`)) out.delete(set)
  return out
}

const failure = (problem: Problem): Effect.Effect<never, ConfigError> => Effect.suspend(() => toError(problem))

export const toError = ({ context, message, path, reason, source }: Problem): ConfigError => {
  const of = path === undefined ? "The configuration" : `The configuration key "${path}"`
  return new ConfigError({
    reason,
    message: `${of}${source === undefined ? "" : ` (from ${source})`}: ${message}.`,
    context,
    ...(path === undefined ? {} : { path }),
    ...(source === undefined ? {} : { source })
  })
}

/** A load is shared by those who asked for it; each gets its error under its own correlation id. */
const forCaller = (error: ConfigError): ConfigError => {
  const { context, message, path, reason, source } = error
  return new ConfigError({
    reason,
    message,
    context,
    correlationId: unsafeCurrentCorrelationId(),
    cause: error.cause,
    ...(path === undefined ? {} : { path }),
    ...(source === undefined ? {} : { source })
  })
}

const closedError = () =>
  failure(new Problem("source_unavailable", "the scope of the configuration has been closed, it is not read any more"))
