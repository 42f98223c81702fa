import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { describe, expect, it } from "vitest"

interface Locked {
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const project = resolve(import.meta.dirname, "../..")
const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8"))
const packages: ReadonlyArray<readonly [string, Locked]> = Object.entries(lock.packages)

describe("the lock file", () => {
  it("locks the native packages of every platform, or npm ci refuses it: npm run lock:complete adds them", () => {
    const missing = packages.flatMap(([, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => lock.packages[`node_modules/${name}`] === undefined)
    )
    expect(missing).toEqual([])
  })

  it("names no source but the public registry", () => {
    const elsewhere = packages.filter(
      ([, { resolved }]) => resolved !== undefined && !resolved.startsWith("https://registry.npmjs.org/")
    )
    expect(elsewhere).toEqual([])
  })
})
