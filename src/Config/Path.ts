import { Problem } from "./Problem.js"

/** A path is at most so many characters, and goes at most so many sections deep. */
export const bounds = { characters: 1024, depth: 100 } as const

/** Names that reach an object's machinery in place of its data. */
const hostile: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])

/** The sections of a dotted path; a problem for one that no source can state. */
export const parsePath = (path: string): ReadonlyArray<string> | Problem => {
  if (path === "") return invalid(path, 'the key is empty; name a value by its dotted path, like "server.port"')
  if (path.length > bounds.characters) {
    return invalid(path, `the key has more than ${bounds.characters} characters`)
  }
  const segments = path.split(".")
  if (segments.length > bounds.depth) return invalid(path, `the key is more than ${bounds.depth} sections deep`)
  for (const segment of segments) {
    if (segment === "") return invalid(path, "the key has an empty section; write one dot between two names")
    if (hostile.has(segment)) return invalid(path, `"${segment}" cannot be a name in a key; choose another`)
  }
  return segments
}

const invalid = (path: string, message: string): Problem => new Problem("invalid_key", message, abridged(path))

/** A path for a message, of which nobody knows how long it is. */
export const abridged = (path: string): string => (path.length > 128 ? `${path.slice(0, 128)}…` : path)
