import type { Json, JsonRecord } from "../../internal/json.js"

/** The values of a table, by their keys, which are paths. */
export type Values = ReadonlyMap<string, Json>

/** What to change in the rows. */
export interface Edit {
  readonly put: Values
  readonly remove: ReadonlyArray<string>
}

/**
 * The rows to change for the value to be at the path and nothing else; without one, for nothing to be there. A row of that
 * key takes it. Where a row above states something at the path (`server` = {"port": 1} for `server.port`), that row is
 * changed in this place; else there is a new row. Nothing else in a row is touched.
 */
export const edit = (values: Values, path: string, value: Json | undefined): Edit => {
  const put = new Map<string, Json>()
  const remove: Array<string> = []
  for (const key of values.keys()) if (key.startsWith(`${path}.`)) remove.push(key)
  const names = path.split(".")
  const clears = value !== undefined
  let home = values.has(path) ? path : undefined
  // The nearest row above takes it; those farther above, which the same source then states twice, lose it.
  for (let depth = names.length - 1; depth > 0; depth--) {
    const key = names.slice(0, depth).join(".")
    const stated = values.get(key)
    if (stated === undefined) continue
    const rest = names.slice(depth)
    const node = nested(stated)
    if (!reaches(node, rest)) continue
    if (clears && home === undefined && isSection(node)) {
      home = key
      put.set(key, putIn(node, rest, value))
      continue
    }
    const left = without(node, rest, clears)
    if (left === undefined) remove.push(key)
    else if (left !== node) put.set(key, left)
  }
  if (clears && (home === undefined || home === path)) put.set(path, value)
  if (!clears && home === path) remove.push(path)
  return { put, remove }
}

export const edited = <A>(values: ReadonlyMap<string, A>, { put, remove }: Edit): ReadonlyMap<string, A | Json> => {
  const next = new Map<string, A | Json>(values)
  for (const key of remove) next.delete(key)
  for (const [key, value] of put) next.set(key, value)
  return next
}

/** Whether the key is that of the path, of a section around it, or of something beneath it. */
export const isRelated = (key: string, path: string): boolean =>
  key === path || key.startsWith(`${path}.`) || path.startsWith(`${key}.`)

/** The paths of the sections around the path, and the path. */
export const around = (path: string): ReadonlyArray<string> =>
  path.split(".").map((_, index, names) => names.slice(0, index + 1).join("."))

const isSection = (value: Json): value is JsonRecord =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The value with sections in sections, where names with dots in them state the same. */
const nested = (value: Json): Json => {
  if (!isSection(value)) return value
  let out: JsonRecord = {}
  for (const [name, item] of Object.entries(value)) out = mergeIn(out, name.split("."), nested(item))
  return out
}

/** `putIn`, but sections that are there already are merged with the value. */
const mergeIn = (section: JsonRecord, names: ReadonlyArray<string>, value: Json): JsonRecord => {
  if (!isSection(value) || !reaches(section, names)) return putIn(section, names, value)
  return Object.entries(value).reduce((out, [name, item]) => mergeIn(out, [...names, name], item), section)
}

/** Whether something is at the path, or a value is in its way. */
const reaches = (node: Json, [name, ...rest]: ReadonlyArray<string>): boolean => {
  if (name === undefined || !isSection(node)) return true
  const child = own(node, name)
  return child !== undefined && reaches(child, rest)
}

/** The section with the value at the path, in place of what is there. */
const putIn = (section: JsonRecord, [name = "", ...rest]: ReadonlyArray<string>, value: Json): JsonRecord => {
  if (rest.length === 0) return { ...section, [name]: value }
  const child = own(section, name)
  return { ...section, [name]: putIn(child !== undefined && isSection(child) ? child : {}, rest, value) }
}

/** What is left of it, sections that have become empty aside. A value in the way goes too, where the path is to be set. */
const without = (node: Json, [name = "", ...rest]: ReadonlyArray<string>, clears: boolean): Json | undefined => {
  if (!isSection(node)) return clears ? undefined : node
  const child = own(node, name)
  if (child === undefined) return node
  const left = rest.length === 0 ? undefined : without(child, rest, clears)
  if (left === child) return node
  const others = Object.entries(node).filter(([other]) => other !== name)
  if (left !== undefined) return Object.fromEntries([...others, [name, left]])
  return others.length === 0 ? undefined : Object.fromEntries(others)
}

const own = (section: JsonRecord, name: string): Json | undefined =>
  Object.hasOwn(section, name) ? section[name] : undefined

/** Whether JavaScript cannot hold a number in it exactly, so that writing it again would change it. */
export const isInexact = (value: Json): boolean => {
  if (typeof value === "number")
    return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))
  if (typeof value !== "object" || value === null) return false
  return Object.values(value).some(isInexact)
}
