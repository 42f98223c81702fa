import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { arch, cpus, release, totalmem, type } from "node:os"

/** What a result depends on: each peer by the name of its package here. */
const packages = [
  "effect",
  "effect4",
  "@effect/experimental",
  "@opentelemetry/sdk-metrics",
  "better-sqlite3",
  "cockatiel",
  "convict",
  "@event-driven-io/emmett-postgresql",
  "opossum",
  "pg",
  "prom-client",
  "rate-limiter-flexible",
  "tinybench"
]

const versionOf = (name: string): string => {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return JSON.parse(readFileSync(file, "utf8")).version
}

/** The version of SQLite that better-sqlite3 was built with. */
const sqliteVersion = (): string => {
  const Database = createRequire(import.meta.url)("better-sqlite3")
  const database = new Database(":memory:")
  const version = database.prepare("select sqlite_version() as version").get().version
  database.close()
  return version
}

/** Markdown that says what was measured on, with what, and when. */
export const machine = (date: Date): string => {
  const processors = cpus()
  return [
    `- ${date.toISOString().slice(0, 10)}`,
    `- ${processors.length} × ${processors[0]?.model.trim() ?? "unknown processor"}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${type()} ${release()} (${arch()})`,
    `- Node ${process.version}, SQLite ${sqliteVersion()}`,
    `- ${packages.map((name) => `${name} ${versionOf(name)}`).join(", ")}`
  ].join("\n")
}
