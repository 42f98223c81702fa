import { Effect, Layer, Schema } from "effect"
import { Config, Telemetry } from "effect-foundation"
import { type Call, type Growing, upTo } from "./Growing.js"

const made = (values: Readonly<Record<string, unknown>>) =>
  Effect.map(
    Layer.build(Layer.provide(Config.layerFrom(Config.object(values)), Telemetry.layer)),
    (context) => context.unsafeMap.get(Config.key) as Config.Service // of the layer
  )

const calls = (config: Config.Service, path: (entry: number) => string): ReadonlyArray<Call> => {
  const key = Config.Key(path(3), Schema.Number)
  let value = 1_000_000
  return [
    { name: "get, by string", order: "O(1)", run: (entry) => config.get(path(entry), 0), gives: Number.isInteger },
    { name: "get, by key", order: "O(1)", run: () => config.get(key), gives: Number.isInteger },
    {
      name: "set",
      order: "O(log n)",
      run: () => config.set(path(5), ++value),
      gives: () => config.unsafeSnapshot().get(path(5)) === value
    }
  ]
}

const flat: Growing = {
  holds: "Config: values in one section",
  make: (size) =>
    Effect.map(made({ all: Object.fromEntries(upTo(size - 1).map((entry) => [`value${entry}`, entry])) }), (config) =>
      calls(config, (entry) => `all.value${entry % (size - 1)}`)
    )
}

/** A section counts as one of its values: a source states a million of both. */
const inSections: Growing = {
  holds: "Config: values in sections of 99",
  make: (size) => {
    const sections = Math.ceil(size / 100)
    const values = Math.min(99, size - 1)
    const section = Object.fromEntries(upTo(values).map((entry) => [`value${entry}`, entry]))
    const source = Object.fromEntries(upTo(sections).map((at) => [`section${at}`, section]))
    return Effect.map(made(source), (config) =>
      calls(config, (entry) => `section${entry % sections}.value${entry % values}`)
    )
  }
}

/** What is set stays on top of the sources. */
const overridden: Growing = {
  holds: "Config: values that were set",
  sizes: [10, 10_000],
  bound: "at most 10,000 values can be set",
  make: (size) =>
    Effect.gen(function* () {
      const config = yield* made({})
      yield* Effect.forEach(upTo(size), (entry) => config.set(`all.value${entry}`, entry), { discard: true })
      return calls(config, (entry) => `all.value${entry % size}`)
    })
}

export const growing: ReadonlyArray<Growing> = [flat, inSections, overridden]
