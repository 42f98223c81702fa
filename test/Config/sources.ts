import { Chunk, Effect, Queue, type Scope, Stream } from "effect"
import { Config } from "effect-foundation/Config"
import { ConfigError } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"

/** A source whose next reads the test decides. */
export const changing = (first: Readonly<Record<string, unknown>>, name = "changing") => {
  const state: { record: Readonly<Record<string, unknown>>; reads: number; broken: boolean } = {
    record: first,
    reads: 0,
    broken: false
  }
  const source: Config.Source = {
    name,
    read: Effect.suspend(() => {
      state.reads++
      return state.broken
        ? new ConfigError({ reason: "source_unavailable", source: name, message: `${name} is broken` })
        : Effect.succeed(state.record)
    })
  }
  return { source, state }
}

type Made = Config | Telemetry | Scope.Scope

/** Runs the test over a configuration of these sources. */
export const over =
  <const Sources extends ReadonlyArray<Config.Source>>(
    sources: Sources,
    keys: ReadonlyArray<Config.Key<unknown>> = []
  ) =>
  <A, E, R>(body: Effect.Effect<A, E, R>): Effect.Effect<A, E | ConfigError, Exclude<R, Made> | Scope.Scope> =>
    Effect.flatMap(Config.make({ sources, keys }), (config) => Effect.provideService(body, Config, config)).pipe(
      Effect.provide(Telemetry.layer)
    ) as Effect.Effect<A, E | ConfigError, Exclude<R, Made> | Scope.Scope>

/** The environment of a process. */
export const environment = (env: Record<string, string>) => Config.env({ env })

/** Lets the other fibers come as far as they can: a stream that was forked has subscribed by then. */
export const settled = Effect.repeatN(Effect.yieldNow(), 20)

/** The changes from now on: each run answers those that came since the last. */
export const collecting = (
  config: Config.Service
): Effect.Effect<Effect.Effect<ReadonlyArray<Config.Change>>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const queue = yield* Queue.unbounded<Config.Change>()
    yield* Effect.forkScoped(Stream.runForEach(config.changes, (change) => Queue.offer(queue, change)))
    yield* settled
    return Effect.zipRight(settled, Effect.map(Queue.takeAll(queue), Chunk.toReadonlyArray))
  })
