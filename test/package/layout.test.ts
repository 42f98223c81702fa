import { readdirSync, readFileSync } from "node:fs"
import { join, normalize, resolve } from "node:path"
import { describe, expect, it } from "vitest"

const project = resolve(import.meta.dirname, "../..")
const { peerDependenciesMeta } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"))
const optionalPeers = Object.keys(peerDependenciesMeta)

/** The names of the files in which a backend may live, by the optional peer that it needs. */
const backends: Readonly<Record<string, RegExp>> = {
  "@effect/experimental": /\bSql\b/,
  "@effect/sql": /\b(Sql|Sqlite|Postgres)\b/,
  "@effect/sql-sqlite-node": /\bSqlite\b/,
  "@effect/sql-pg": /\bPostgres\b/,
  pg: /\bPostgres\b/,
  ioredis: /\bRedis\b/,
  "@effect/opentelemetry": /\b(OpenTelemetry|Otlp)\b/
}

const sources = readdirSync(join(project, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => join("src", path))
  .sort()

/** What a file imports, types included: a type of an absent package is a hole in the declarations. */
const importsOf = (file: string): ReadonlyArray<string> => {
  const code = readFileSync(join(project, file), "utf8").replace(/^\s*\/?\*.*$/gm, "")
  const statements = /^(?:import|export|\}).*?\sfrom "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm
  return [...code.matchAll(statements)].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? "")
}

/** Each import of the files that the rule forbids, in words. */
const offenders = (files: ReadonlyArray<string>, forbidden: (specifier: string, file: string) => boolean) =>
  files.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => forbidden(specifier, file))
      .map((specifier) => `${file} imports ${specifier}`)
  )

const isOf = (name: string) => (specifier: string) => specifier === name || specifier.startsWith(`${name}/`)

const isOptional = (specifier: string): boolean => optionalPeers.some((peer) => isOf(peer)(specifier))

/** The files that are loaded with the given one. */
const graphOf = (entry: string, seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(entry)) return seen
  seen.add(entry)
  for (const specifier of importsOf(entry)) {
    if (specifier.startsWith(".")) graphOf(normalize(join(entry, "..", specifier.replace(/\.js$/, ".ts"))), seen)
  }
  return seen
}

describe("the modules of src", () => {
  it("import Effect by module, never by a barrel", () => {
    const isBarrel = (specifier: string) => /^(effect|@effect\/[\w-]+)$/.test(specifier)
    expect(offenders(sources, isBarrel)).toEqual([])
  })

  it("import nothing from outside of src but packages", () => {
    const leaves = (specifier: string, file: string) =>
      specifier.startsWith(".") && !normalize(join(file, "..", specifier)).startsWith("src/")
    expect(offenders(sources, leaves)).toEqual([])
  })

  it("import only what the package declares", () => {
    const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"))
    const declared = Object.keys({ ...dependencies, ...peerDependencies })
    const isUndeclared = (specifier: string) =>
      !/^(\.|node:)/.test(specifier) && !declared.some((name) => isOf(name)(specifier))
    expect(offenders(sources, isUndeclared)).toEqual([])
  })

  it("read the time from Clock, but where there is none", () => {
    // Effect compares the age of samples with the wall clock; the driver of Redis and the deadlines of its connection ask
    // in a step of their own; what reads the live clock for all others reads its source.
    const withoutClock = [
      "src/Telemetry/Metrics.ts",
      "src/Redis/IoRedis.ts",
      "src/Redis/Deadlines.ts",
      "src/internal/monotonic.ts"
    ]
    const readers = sources.filter((file) => {
      const code = readFileSync(join(project, file), "utf8").replace(/^\s*\/?\*.*$/gm, "")
      return /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bhrtime\b/.test(code)
    })
    expect(readers.filter((file) => !withoutClock.includes(file))).toEqual([])
  })

  it.each(optionalPeers)("import %s in its backends only", (peer) => {
    const backend = backends[peer]
    expect(backend, "no backend is known for this peer").toBeDefined()
    expect(offenders(sources, (specifier, file) => isOf(peer)(specifier) && !backend?.test(file))).toEqual([])
  })
})

describe("the root entry", () => {
  it("reaches every component", () => {
    const entries = ["src/Testing.ts", "src/Redis.ts"]
    const components = sources.filter((file) => /^src\/\w+\.ts$/.test(file) && !entries.includes(file))
    expect([...graphOf("src/index.ts")]).toEqual(expect.arrayContaining(components))
  })

  it("reaches no optional peer", () => {
    expect(offenders([...graphOf("src/index.ts")], isOptional)).toEqual([])
  })
})
