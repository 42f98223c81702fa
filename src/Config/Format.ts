import { Problem } from "./Problem.js"

export type Format = "json" | "yaml" | "toml" | "env"

/** The most that a file of each format may hold, in bytes. The parser of YAML takes a second for each megabyte. */
export const maxBytes: { readonly [format in Format]: number } = {
  json: 16 * 1024 * 1024,
  yaml: 4 * 1024 * 1024,
  toml: 16 * 1024 * 1024,
  env: 16 * 1024 * 1024
}

/** The format by the end of the name: `.json`, `.yaml`, `.yml`, `.toml`, `.env` (and `.env.local`). */
export const formatOf = (path: string): Format | undefined => {
  const name = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1)
  if (/^\.env(\.|$)/.test(name)) return "env"
  switch (name.slice(name.lastIndexOf(".") + 1).toLowerCase()) {
    case "json":
      return "json"
    case "yaml":
    case "yml":
      return "yaml"
    case "toml":
      return "toml"
    case "env":
      return "env"
    default:
      return undefined
  }
}

/**
 * What the text states. A parser is loaded when the first file of its format is read. What the parsers say of a mistake is
 * left out, for they quote the file; where it is, is told.
 */
export const parse = async (format: Format, text: string): Promise<unknown> => {
  if (text.trim() === "") return {}
  try {
    switch (format) {
      case "json":
        return JSON.parse(text)
      case "yaml":
        return parseYaml(await import("yaml"), text)
      case "toml":
        return withoutDates((await import("smol-toml")).parse(text))
      case "env": {
        const { parseEnv } = await import("node:util")
        return typeof parseEnv === "function"
          ? parseEnv(text)
          : new Problem("source_unavailable", "this version of Node.js reads no .env files; use 20.12 or later")
      }
    }
  } catch (error) {
    return new Problem("source_unavailable", `it is no ${format.toUpperCase()}${where(error, text)}; mend it`)
  }
}

const parseYaml = (yaml: typeof import("yaml"), text: string): unknown => {
  // The parser's own check for a name stated twice is quadratic: ours is not.
  const document = yaml.parseDocument(text, { uniqueKeys: false })
  const [error] = document.errors
  if (error !== undefined) throw error
  yaml.visit(document, {
    Map: (_, map) => {
      const names = new Set<string>()
      for (const { key } of map.items) {
        const name = yaml.isScalar(key) ? String(key.value) : String(key)
        if (names.has(name)) throw { linePos: [position(text, yaml.isNode(key) ? (key.range?.[0] ?? 0) : 0)] }
        names.add(name)
      }
    }
  })
  return document.toJS({ maxAliasCount: 100 }) ?? {}
}

/** Dates become text, as they are in the other formats. Bounded, for the parser refuses what is deeper than it can follow. */
const withoutDates = (value: unknown): unknown => {
  if (value instanceof Date) return value.toISOString()
  if (Array.isArray(value)) return value.map(withoutDates)
  if (typeof value !== "object" || value === null) return value
  for (const [name, item] of Object.entries(value)) {
    // Defined, not assigned: a name like __proto__ is to reach the check of names as a name.
    Object.defineProperty(value, name, { value: withoutDates(item), enumerable: true })
  }
  return value
}

const where = (error: unknown, text: string): string => {
  if (error instanceof RangeError) return ", or is nested deeper than its parser can follow"
  if (typeof error !== "object" || error === null) return ""
  const at = "linePos" in error && Array.isArray(error.linePos) ? error.linePos[0] : error
  if (typeof at?.line === "number") return ` at line ${at.line}, column ${at.col ?? at.column}`
  const offset = error instanceof SyntaxError ? /at position (\d+)/.exec(error.message)?.[1] : undefined
  if (offset === undefined) return ""
  const { col, line } = position(text, Number(offset))
  return ` at line ${line}, column ${col}`
}

const position = (text: string, offset: number): { readonly line: number; readonly col: number } => {
  const lines = text.slice(0, offset).split("\n")
  return { line: lines.length, col: (lines[lines.length - 1]?.length ?? 0) + 1 }
}
