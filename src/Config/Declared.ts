import type { Key } from "./Key.js"
import { canonical } from "./Merge.js"
import { Paths } from "./Paths.js"
import { Problem } from "./Problem.js"
import type { Snapshot } from "./Snapshot.js"
import { type Kind, readAs } from "./Typed.js"

/**
 * At most so many keys are checked at each change, and at most so many of one path: further ones are checked when they are
 * read. Reads by default hide at most so many paths.
 */
export const bounds = { keys: 10_000, perPath: 8, secrets: 100_000 } as const

/** What the program expects of a path, by a key or by the type of a default. */
type Expectation = { readonly kind: Kind } | { readonly key: Key<unknown> }

/** All that is expected of a path, and as the how many-th it was declared. */
interface Expected {
  readonly path: string
  readonly order: number
  readonly expectations: Array<Expectation>
}

/**
 * What the program expects of the configuration: the keys that it declared, and those that it has read. What is in force
 * meets all of it, and a change that would not is refused. So a key is taken in only once it has been read with success.
 */
export class Declared {
  private readonly byPath = new Map<string, Expected>()
  /** The same, for those whose path has to do with another. */
  private readonly around = new Paths<Expected>()
  /** Those whose path is spelled otherwise in the snapshots of late, under the names that these have. */
  private respelled = { by: noSpellings, paths: new Paths<Expected>() }
  private readonly seen = new WeakSet<Key<unknown>>()
  private size = 0
  /** The paths of the secrets among them. */
  readonly secrets = new Set<string>()

  /** Whether it made another value secret. */
  addKey(key: Key<unknown>): boolean {
    if (this.seen.has(key)) return false
    this.seen.add(key)
    // Keys made anew for each read have one schema: they are one expectation.
    const known =
      this.byPath.get(key.path)?.expectations.some((one) => "key" in one && one.key.ast === key.ast) ?? false
    if (known || !this.add(key.path, { key })) return false
    return this.addSecrets(key.secrets)
  }

  /** The first type that a value was read as stays: a second one is a matter of that reader. */
  addKind(path: string, kind: Kind): boolean {
    if (this.byPath.get(path)?.expectations.some((one) => "kind" in one) === true) return false
    return this.add(path, { kind }) && kind === "secret" && this.addSecret(path)
  }

  /** Hides what is at the path from now on. Whether it was not hidden before. */
  addSecret(path: string): boolean {
    if (this.secrets.has(path) || this.secrets.size >= bounds.secrets) return false
    this.secrets.add(path)
    return true
  }

  addSecrets(paths: ReadonlyArray<string>): boolean {
    return paths.filter((path) => this.addSecret(path)).length > 0
  }

  private add(path: string, expectation: Expectation): boolean {
    const there = this.byPath.get(path)
    if (this.size >= bounds.keys || (there !== undefined && there.expectations.length >= bounds.perPath)) return false
    this.size++
    if (there !== undefined) {
      there.expectations.push(expectation)
    } else {
      const expected = { path, order: this.byPath.size, expectations: [expectation] }
      this.byPath.set(path, expected)
      this.around.add(path, expected)
      this.respell(expected)
    }
    return true
  }

  /** What in the snapshot is not as expected; the first problem, with the paths of all. */
  check(snapshot: Snapshot): Problem | undefined {
    return problemOf(this.byPath.values(), snapshot)
  }

  /**
   * `check` of a snapshot that differs at the path, and there alone, from one that is known to hold. Of what they share,
   * nothing is looked at: to compare 10,000 entries would be a hundred times the work of a set.
   */
  checkAt(path: string, snapshot: Snapshot, holding: Snapshot): Problem | undefined {
    if (this.respelled.by !== snapshot.spellings) {
      this.respelled = { by: snapshot.spellings, paths: new Paths() }
      for (const expected of this.byPath.values()) this.respell(expected)
    }
    const named = canonical(path, snapshot.spellings)
    const touched = new Set([...this.around.touching(named), ...this.respelled.paths.touching(named)])
    const changed = [...touched].filter((expected) => holding.entry(expected.path) !== snapshot.entry(expected.path))
    return problemOf(
      changed.sort((one, other) => one.order - other.order),
      snapshot
    )
  }

  private respell(expected: Expected): void {
    const { by, paths } = this.respelled
    const named = canonical(expected.path, by)
    if (named !== expected.path) paths.add(named, expected)
  }
}

const noSpellings: ReadonlyMap<string, string> = new Map()

const problemOf = (all: Iterable<Expected>, snapshot: Snapshot): Problem | undefined => {
  const problems: Array<Problem> = []
  for (const { expectations, path } of all) {
    for (const expectation of expectations) {
      const problem = unmet(expectation, path, snapshot)
      if (problem !== undefined) problems.push(problem)
    }
  }
  const [first] = problems
  if (first === undefined || problems.length === 1) return first
  const invalid = [...new Set(problems.map(({ path }) => path))].slice(0, 64)
  return new Problem(first.reason, `${first.message} (and ${problems.length - 1} more)`, first.path, first.source, {
    invalid
  })
}

const unmet = (expectation: Expectation, path: string, snapshot: Snapshot): Problem | undefined => {
  if ("key" in expectation) {
    const decoded = expectation.key.in(snapshot)
    return decoded instanceof Problem ? decoded : undefined
  }
  const entry = snapshot.entry(path)
  if (entry === undefined || entry.value === null) return undefined
  const read = readAs(expectation.kind, entry)
  if (!(read instanceof Problem)) return undefined
  const who = `it is read as a ${expectation.kind} elsewhere in the program`
  return new Problem(read.reason, `${read.message}; ${who}`, read.path, read.source)
}
