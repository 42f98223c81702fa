import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as PathPatch from "effect/ConfigProviderPathPatch"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashSet from "effect/HashSet"
import { isSection, reveal } from "./Secret.js"
import type { Snapshot } from "./Snapshot.js"

/**
 * The values as `effect/Config` reads them. Each load reads from one snapshot, the one in force when it begins. Secrets are
 * handed over as text, as every provider does: read them with `Config.redacted`.
 */
export const makeProvider = (current: () => Snapshot): ConfigProvider.ConfigProvider =>
  ConfigProvider.make({
    load: (config) =>
      Effect.suspend(() => {
        const snapshot = current()
        return ConfigProvider.fromFlat(flat(() => snapshot)).load(config)
      }),
    flattened: flat(current)
  })

const flat = (current: () => Snapshot): ConfigProvider.ConfigProvider.Flat =>
  ConfigProvider.makeFlat({
    load: (path, primitive, split) =>
      Effect.suspend(() => {
        const found = find(current(), path)
        const texts = found === undefined ? undefined : textsOf(found, split && !isIndex(path[path.length - 1] ?? ""))
        if (texts === undefined) {
          const what = found === undefined ? "no value" : "a section or a list"
          const message = `Expected ${primitive.description} at "${path.join(".")}"; the configuration has ${what} there`
          return Effect.fail(
            found === undefined
              ? ConfigError.MissingData([...path], message)
              : ConfigError.InvalidData([...path], message)
          )
        }
        return Effect.forEach(texts, (text) => primitive.parse(text)).pipe(
          Effect.mapError(ConfigError.prefixed([...path]))
        )
      }),
    enumerateChildren: (path) =>
      Effect.sync(() => {
        const found = path.length === 0 ? current().tree : find(current(), path)
        if (Array.isArray(found)) return HashSet.fromIterable(found.map((_, index) => `[${index}]`))
        return isSection(found) ? HashSet.fromIterable(Object.keys(found)) : HashSet.empty()
      }),
    patch: PathPatch.empty
  })

const index = /^\[(\d+)\]$/
const isIndex = (component: string): boolean => index.test(component)

/** The value at the path: named down to the first list, and by its index and name from there on. */
const find = (snapshot: Snapshot, path: ReadonlyArray<string>): unknown => {
  const list = path.findIndex(isIndex)
  const named = list < 0 ? path : path.slice(0, list)
  let found = named.length === 0 ? snapshot.tree : reveal(snapshot.get(named.join(".")))
  for (const component of path.slice(named.length)) {
    const at = index.exec(component)?.[1]
    if (at !== undefined) found = Array.isArray(found) ? found[Number(at)] : undefined
    else found = isSection(found) ? found[component] : undefined
  }
  return found ?? undefined
}

/** The value as the texts that a primitive of `effect/Config` parses; none for what is not a primitive. */
const textsOf = (value: unknown, split: boolean): ReadonlyArray<string> | undefined => {
  if (typeof value === "string") return split ? value.split(",").map((item) => item.trim()) : [value]
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return [String(value)]
  if (value instanceof Date) return [value.toISOString()]
  if (Duration.isDuration(value)) return [`${Duration.toMillis(value)} millis`]
  return undefined
}
