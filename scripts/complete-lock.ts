/**
 * Adds to package-lock.json the packages of other platforms that npm left out:
 *
 *     npm run lock:complete      (after `npm install`)
 *
 * A mirror of the registry may have native packages for its own platform only. npm then writes a lock file without the
 * others, which `npm ci` refuses everywhere, there included. They are known all the same: their versions stand in the
 * optionalDependencies of their package, and their names say for what they are. Only their hashes stay unknown.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

interface Locked {
  readonly version?: string
  readonly license?: string
  readonly dev?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"]

const path = join(resolve(import.meta.dirname, ".."), "package-lock.json")
const lock: { readonly packages: Record<string, Locked> } = JSON.parse(readFileSync(path, "utf8"))

/** What the name of a native package (`rollup-linux-arm-musleabihf`) says of its platform. */
const platformOf = (name: string) => {
  const words = name.split(/[/-]/)
  const os = systems.filter((system) => words.includes(system) || (system === "win32" && words.includes("windows")))
  const cpu = processors.filter((processor) => words.includes(processor))
  const musl = words.some((word) => word.startsWith("musl"))
  const glibc = words.some((word) => /^(glibc|gnu)/.test(word)) && os.includes("linux")
  if (os.length === 0 || cpu.length === 0) throw new Error(`${name} does not say for which platform it is`)
  return { cpu, os, ...(musl ? { libc: ["musl"] } : glibc ? { libc: ["glibc"] } : {}) }
}

const added: Array<string> = []
for (const { dev, license, optionalDependencies = {} } of Object.values(lock.packages)) {
  for (const [name, range] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`
    if (lock.packages[key] !== undefined) continue
    // The native packages of one parent are released together: that of this platform tells the version of them all.
    const sibling = Object.keys(optionalDependencies).find(
      (other) => lock.packages[`node_modules/${other}`] !== undefined
    )
    const version = /^\d/.test(range) ? range : lock.packages[`node_modules/${sibling}`]?.version
    if (version === undefined) throw new Error(`which version of ${name}@${range} to lock is not known`)
    const { cpu, ...platform } = platformOf(name)
    lock.packages[key] = {
      version,
      cpu,
      ...(dev === undefined ? {} : { dev }),
      ...(license === undefined ? {} : { license }),
      optional: true,
      ...platform
    } as Locked
    added.push(`${name}@${version}`)
  }
}

const sorted = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en")))
writeFileSync(path, `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`)
console.log(added.length === 0 ? "The lock file is complete." : `Added ${added.join(", ")}`)
