import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, Queue, type Scope, Stream } from "effect"
import { Config } from "effect-foundation/Config"
import { Telemetry } from "effect-foundation/Telemetry"
import { settled } from "./sources.js"

/** A directory of this test alone. */
const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "config-watch-"))),
  (dir) => Effect.sync(() => fs.rmSync(dir, { recursive: true, force: true }))
)

/** Everything that is logged, as it is logged. */
const logged = Effect.gen(function* () {
  const lines = yield* Queue.unbounded<string>()
  const logger = Logger.make(({ logLevel, message }) => {
    if (LogLevel.greaterThanEqual(logLevel, LogLevel.Info)) {
      lines.unsafeOffer(`${logLevel.label} ${String(message)}`)
    }
  })
  return { lines, layer: Logger.replace(Logger.defaultLogger, logger) }
})

/** The configuration of the file, and its changes from the start as a queue to wait on. */
const watching = (file: string, options: Config.FileOptions = {}) =>
  Effect.gen(function* () {
    const config = yield* Config.make({ sources: [Config.file(file, { pollInterval: "100 millis", ...options })] })
    const changes = yield* Queue.unbounded<Config.Change>()
    yield* Effect.forkScoped(Stream.runForEach(config.changes, (change) => Queue.offer(changes, change)))
    yield* settled
    return { config, changes }
  })

/** Waits until the value is there: changes are told in order, and the last one told is the one waited for. */
const until = (changes: Queue.Dequeue<Config.Change>, key: string, after: unknown) =>
  Queue.take(changes).pipe(
    Effect.repeat({ until: (change) => change.key === key && change.after === after }),
    Effect.timeout("20 seconds")
  )

const write = (file: string, text: string) => Effect.sync(() => fs.writeFileSync(file, text))
const replace = (file: string, text: string) =>
  Effect.sync(() => {
    fs.writeFileSync(`${file}.new`, text)
    fs.renameSync(`${file}.new`, file)
  })

const live = <A, E>(title: string, body: Effect.Effect<A, E, Scope.Scope | Telemetry | FileSystem.FileSystem>) =>
  it.scopedLive(title, () => Effect.provide(body, Layer.merge(NodeFileSystem.layer, Telemetry.layer)), 30_000)

describe("a watched file", () => {
  live(
    "is read again when it is written to",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.json")
      yield* write(file, `{"limit": 1}`)
      const { changes, config } = yield* watching(file)
      expect(yield* config.get("limit", 0)).toBe(1)
      yield* write(file, `{"limit": 2}`)
      const change = yield* until(changes, "limit", 2)
      expect(change).toEqual({ key: "limit", before: 1, after: 2, source: file })
      expect(yield* config.get("limit", 0)).toBe(2)
    })
  )

  live(
    "is not missed when it is written to before the watch has begun",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.json")
      yield* write(file, `{"limit": 1}`)
      const made = watching(file)
      const { changes, config } = yield* made
      yield* write(file, `{"limit": 2}`)
      if ((yield* config.get("limit", 0)) === 1) yield* until(changes, "limit", 2)
      expect(yield* config.get("limit", 0)).toBe(2)
    })
  )

  live(
    "outlives atomic renames over it, many in a row",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.yaml")
      yield* write(file, "limit: 0\n")
      const { changes, config } = yield* watching(file)
      for (let limit = 1; limit <= 5; limit++) {
        yield* replace(file, `limit: ${limit}\n`)
        yield* until(changes, "limit", limit)
      }
      expect(yield* config.get("limit", 0)).toBe(5)
    })
  )

  live(
    "outlives its deletion, keeps the last good values until it is back, and is read when it is",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.toml")
      yield* write(file, "limit = 1\n")
      const { layer, lines } = yield* logged
      yield* Effect.gen(function* () {
        const { changes, config } = yield* watching(file)
        yield* Effect.sync(() => fs.unlinkSync(file))
        expect(yield* Queue.take(lines)).toContain("there is no such file")
        expect(yield* config.get("limit", 0)).toBe(1)
        yield* write(file, "limit = 2\n")
        yield* until(changes, "limit", 2)
        expect(yield* Queue.take(lines)).toContain("can be used again")
      }).pipe(Effect.provide(layer))
    })
  )

  live(
    "that is optional states nothing once it has been deleted, and something again when it is back",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.json")
      yield* write(file, `{"limit": 1}`)
      const { changes, config } = yield* watching(file, { optional: true })
      yield* Effect.sync(() => fs.unlinkSync(file))
      yield* until(changes, "limit", undefined)
      expect(yield* config.get("limit", 7)).toBe(7)
      yield* write(file, `{"limit": 2}`)
      yield* until(changes, "limit", 2)
    })
  )

  live(
    "follows the swap of a symbolic link around it, as Kubernetes does it",
    Effect.gen(function* () {
      const dir = yield* directory
      const file = path.join(dir, "config.yaml")
      const version = (name: string, text: string) => {
        fs.mkdirSync(path.join(dir, name))
        fs.writeFileSync(path.join(dir, name, "config.yaml"), text)
      }
      yield* Effect.sync(() => {
        version("..2024_1", "limit: 1\n")
        fs.symlinkSync("..2024_1", path.join(dir, "..data"))
        fs.symlinkSync(path.join("..data", "config.yaml"), file)
      })
      const { changes, config } = yield* watching(file)
      expect(yield* config.get("limit", 0)).toBe(1)
      for (const limit of [2, 3]) {
        yield* Effect.sync(() => {
          version(`..2024_${limit}`, `limit: ${limit}\n`)
          fs.symlinkSync(`..2024_${limit}`, path.join(dir, "..data_tmp"))
          fs.renameSync(path.join(dir, "..data_tmp"), path.join(dir, "..data"))
          fs.rmSync(path.join(dir, `..2024_${limit - 1}`), { recursive: true })
        })
        yield* until(changes, "limit", limit)
      }
    })
  )

  live(
    "with a syntax error changes nothing, is complained of once, and is read when it is mended",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.yaml")
      yield* write(file, "limit: 1\npassword: hunter2\n")
      const { layer, lines } = yield* logged
      const failures: Array<unknown> = []
      const real = yield* FileSystem.FileSystem
      const reads = yield* Queue.sliding<void>(1)
      const counted = {
        ...real,
        readFile: (name: string) => Effect.zipLeft(real.readFile(name), Queue.offer(reads, undefined))
      }
      yield* Effect.gen(function* () {
        yield* Telemetry.attach("failures", "config.reload", ({ metadata }) => {
          if (metadata.outcome === "failure") failures.push(metadata)
        })
        const { changes, config } = yield* watching(file)
        yield* write(file, "limit: [1\npassword: hunter2\n")
        const complaint = yield* Queue.take(lines)
        expect(complaint).toContain("WARN")
        expect(complaint).toContain(file)
        expect(complaint).toMatch(/line \d/)
        expect(complaint).not.toContain("hunter2")
        expect(yield* config.get("limit", 0)).toBe(1)
        for (let times = 0; times < 5; times++) yield* Queue.take(reads)
        yield* write(file, "limit: 3\npassword: hunter2\n")
        yield* until(changes, "limit", 3)
        expect(yield* Queue.take(lines)).toContain("can be used again")
        expect(failures).toEqual([{ outcome: "failure", reason: "source_unavailable", path: undefined, source: file }])
      }).pipe(Effect.provide(layer), Effect.provideService(FileSystem.FileSystem, counted))
    })
  )

  live(
    "with a value that does not hold changes nothing, and names it",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.json")
      yield* write(file, `{"limit": 1, "other": 1}`)
      const { layer, lines } = yield* logged
      yield* Effect.gen(function* () {
        const { changes, config } = yield* watching(file)
        yield* config.get("limit", 0)
        yield* write(file, `{"limit": "many", "other": 2}`)
        expect(yield* Queue.take(lines)).toContain(`"limit" (from ${file}): expected a number, found the text "many"`)
        expect(yield* config.get("other", 0)).toBe(1)
        yield* write(file, `{"limit": 5, "other": 3}`)
        yield* until(changes, "other", 3)
        expect(yield* config.get("limit", 0)).toBe(5)
      }).pipe(Effect.provide(layer))
    })
  )

  live(
    "that is truncated before it is written never shows as empty",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.json")
      yield* write(file, `{"limit": 1}`)
      const real = yield* FileSystem.FileSystem
      // The writer comes to write just after the truncated file has been looked at, found at rest, and read.
      const slowWriter = {
        ...real,
        readFile: (name: string) =>
          Effect.tap(real.readFile(name), (bytes) => (bytes.length === 0 ? write(file, `{"limit": 2}`) : Effect.void))
      }
      yield* Effect.gen(function* () {
        const { changes } = yield* watching(file)
        yield* write(file, "")
        expect(yield* Queue.take(changes)).toEqual({ key: "limit", before: 1, after: 2, source: file })
      }).pipe(Effect.provideService(FileSystem.FileSystem, slowWriter))
    })
  )

  live(
    "outlives its directory: gone and made anew, it is watched there",
    Effect.gen(function* () {
      const dir = path.join(yield* directory, "etc")
      const file = path.join(dir, "app.json")
      yield* Effect.sync(() => fs.mkdirSync(dir))
      yield* write(file, `{"limit": 1}`)
      const { layer, lines } = yield* logged
      const real = yield* FileSystem.FileSystem
      const watches = yield* Queue.unbounded<string>()
      const counted = {
        ...real,
        watch: (name: string) => Stream.zipRight(Stream.fromEffect(Queue.offer(watches, name)), real.watch(name))
      }
      yield* Effect.gen(function* () {
        const { changes } = yield* watching(file)
        yield* Queue.take(watches)
        yield* Effect.sync(() => fs.rmSync(dir, { recursive: true }))
        expect(yield* Queue.take(lines)).toContain("there is no such file")
        yield* Effect.sync(() => fs.mkdirSync(dir))
        yield* write(file, `{"limit": 2}`)
        yield* until(changes, "limit", 2)
        // The operating system's watch is on the old directory: there is one on the new.
        yield* Queue.take(watches)
        yield* replace(file, `{"limit": 3}`)
        yield* until(changes, "limit", 3)
      }).pipe(Effect.provide(layer), Effect.provideService(FileSystem.FileSystem, counted))
    })
  )

  live(
    "is seen by looking alone where the file system tells nothing",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.json")
      yield* write(file, `{"limit": 1}`)
      const real = yield* FileSystem.FileSystem
      const deaf = { ...real, watch: () => Stream.die("this file system cannot watch") }
      yield* Effect.gen(function* () {
        const { changes } = yield* watching(file)
        // More than one: the first may be there before the first look.
        for (const limit of [2, 3, 4]) {
          yield* write(file, `{"limit": ${limit}}`)
          yield* until(changes, "limit", limit)
        }
      }).pipe(Effect.provideService(FileSystem.FileSystem, deaf))
    })
  )

  live(
    "keeps what was set on top through its changes",
    Effect.gen(function* () {
      const file = path.join(yield* directory, "app.json")
      yield* write(file, `{"limit": 1, "other": 1}`)
      const { changes, config } = yield* watching(file)
      yield* config.set("limit", 50)
      yield* write(file, `{"limit": 2, "other": 2}`)
      yield* until(changes, "other", 2)
      expect(yield* config.get("limit", 0)).toBe(50)
      yield* config.unset("limit")
      expect(yield* config.get("limit", 0)).toBe(2)
    })
  )
})
