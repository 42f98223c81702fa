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
 * handed over as text, as every provider does: read them with `Config.redacted`. What has no value is asked of the `other`
 * provider.
 */
export const makeProvider = (
  current: () => Snapshot,
  other?: ConfigProvider.ConfigProvider
): ConfigProvider.ConfigProvider => {
  // `orElse` of Effect over all of it would pass over a live value that is wrong: so it is over what is not there only.
  const missing =
    other === undefined ? nothing : ConfigProvider.orElse(ConfigProvider.fromFlat(nothing), () => other).flattened
  return ConfigProvider.make({
    load: (config) =>
      Effect.suspend(() => {
        const snapshot = current()
        return ConfigProvider.fromFlat(flat(() => snapshot, missing)).load(config)
      }),
    flattened: flat(current, missing)
  })
}

/** Has no value at all. */
const nothing = ConfigProvider.makeFlat({
  load: (path, primitive) => Effect.fail(ConfigError.MissingData([...path], expected(primitive, path, "no value"))),
  enumerateChildren: () => Effect.succeed(HashSet.empty()),
  patch: PathPatch.empty
})

const expected = (primitive: { readonly description: string }, path: ReadonlyArray<string>, found: string): string =>
  `Expected ${primitive.description} at "${path.join(".")}"; the configuration has ${found} there`

const flat = (
  current: () => Snapshot,
  missing: ConfigProvider.ConfigProvider.Flat
): ConfigProvider.ConfigProvider.Flat =>
  ConfigProvider.makeFlat({
    load: (path, primitive, split) =>
      Effect.suspend(() => {
        const found = find(current(), path)
        if (found === undefined) return missing.load(path, primitive, split)
        const texts = textsOf(found, split && !isIndex(path[path.length - 1] ?? ""))
        if (texts === undefined) {
          return Effect.fail(ConfigError.InvalidData([...path], expected(primitive, path, "a section or a list")))
        }
        return Effect.forEach(texts, (text) => primitive.parse(text)).pipe(
          Effect.mapError(ConfigError.prefixed([...path]))
        )
      }),
    enumerateChildren: (path) =>
      Effect.suspend(() => {
        const found = path.length === 0 ? current().tree : find(current(), path)
        if (found === undefined) return missing.enumerateChildren(path)
        if (Array.isArray(found)) return Effect.succeed(HashSet.fromIterable(found.map((_, index) => `[${index}]`)))
        if (!isSection(found)) return Effect.succeed(HashSet.empty<string>())
        return Effect.map(missing.enumerateChildren(path), HashSet.union(Object.keys(found)))
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
