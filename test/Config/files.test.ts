import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema, type Scope, TestClock } from "effect"
import { Config } from "effect-foundation/Config"
import { Telemetry } from "effect-foundation/Telemetry"
import { noDurations } from "../support/noDurations.js"

const platform = Layer.merge(NodeFileSystem.layer, Telemetry.layer)

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "config-files-"))),
  (dir) => Effect.sync(() => fs.rmSync(dir, { recursive: true, force: true }))
)

/** A file of that name and text, in a directory of its own. */
const written = (name: string, text: string | Uint8Array) =>
  Effect.map(directory, (dir) => {
    const file = path.join(dir, name)
    fs.writeFileSync(file, text)
    return file
  })

const read = (file: string, options: Config.FileOptions = {}) =>
  Config.make({ sources: [Config.file(file, { watch: false, ...options })] })

const live = <A, E>(
  title: string,
  body: () => Effect.Effect<A, E, Scope.Scope | Telemetry | FileSystem.FileSystem>,
  timeout = 30_000
) => it.scopedLive(title, () => Effect.provide(body(), platform), timeout)

const formats = {
  "app.json": '{"server": {"port": 8080, "tls": true}, "tags": ["a", "b"], "since": "2024-01-02"}',
  "app.yaml": "server:\n  port: 8080\n  tls: true\ntags: [a, b]\nsince: 2024-01-02\n",
  "app.yml": "server: {port: 8080, tls: true}\ntags:\n  - a\n  - b\nsince: 2024-01-02\n",
  "app.toml": 'tags = ["a", "b"]\nsince = 2024-01-02\n[server]\nport = 8080\ntls = true\n',
  ".env": "SERVER__PORT=8080\nFOUNDATION__SERVER__TLS=true\nTAGS=a,b\nSINCE=2024-01-02\n"
}

describe("a file source", () => {
  for (const [name, text] of Object.entries(formats)) {
    live(`reads ${name}`, () =>
      Effect.gen(function* () {
        const file = yield* written(name, text)
        const config = yield* read(file)
        expect(yield* config.get("server.port", 0)).toBe(8080)
        expect(yield* config.get("server.tls", false)).toBe(true)
        expect(yield* config.get("tags", ["x"])).toEqual(["a", "b"])
        expect(yield* config.get("since", "")).toBe("2024-01-02")
        expect(yield* config.origin("tags")).toEqual(Option.some(file))
      })
    )
  }

  live("is refused with a pollInterval that is no duration", () =>
    Effect.gen(function* () {
      const file = yield* written("app.json", "{}")
      for (const pollInterval of noDurations) {
        const error = yield* Effect.flip(read(file, { watch: true, pollInterval }))
        expect(error).toMatchObject({ _tag: "ConfigError", reason: "invalid_value", path: "config.pollInterval" })
      }
    })
  )

  live("reads an empty file, one with a byte order mark, and one with a format that its name does not tell", () =>
    Effect.gen(function* () {
      for (const name of ["a.json", "a.yaml", "a.toml", ".env"]) {
        expect((yield* read(yield* written(name, ""))).unsafeSnapshot().keys).toEqual([])
      }
      expect(yield* (yield* read(yield* written("a.json", '\uFEFF{"a": 1}'))).get("a", 0)).toBe(1)
      expect(yield* (yield* read(yield* written("settings", "a: 1"), { format: "yaml" })).get("a", 0)).toBe(1)
    })
  )

  live("takes text in a file for text: only .env is converted", () =>
    Effect.gen(function* () {
      const config = yield* read(yield* written("a.yaml", 'port: "8080"\n'))
      expect((yield* Effect.flip(config.get("port", 0))).reason).toBe("invalid_value")
    })
  )

  live("that cannot be used is a ConfigError that names it and says what to do", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const failing = (file: string, options?: Config.FileOptions) => Effect.flip(read(file, options))
      const missing = yield* failing(path.join(dir, "none.json"))
      expect(missing).toMatchObject({ reason: "source_unavailable", source: path.join(dir, "none.json") })
      expect(missing.message).toContain(path.join(dir, "none.json"))
      expect(missing.message).toContain("create it")
      expect((yield* failing(path.join(dir, "no", "dir.json"))).message).toContain("there is no such file")
      fs.mkdirSync(path.join(dir, "dir.json"))
      expect((yield* failing(path.join(dir, "dir.json"))).message).toContain("Directory")
      expect((yield* failing("/dev/zero", { format: "json" })).message).toContain("no file")
      expect((yield* failing(yield* written("a.ini", "a=1"))).message).toContain("give the format")
      expect((yield* failing(yield* written("a.json", new Uint8Array([0xff, 0xfe])))).message).toContain("UTF-8")
      for (const text of ["[1]", "1", "null", '"text"']) {
        expect((yield* failing(yield* written("a.json", text))).message).toContain("named values")
      }
      fs.symlinkSync("loop.json", path.join(dir, "loop.json"))
      expect((yield* failing(path.join(dir, "loop.json"))).reason).toBe("source_unavailable")
    })
  )

  live("that this process may not read is a ConfigError that says so", () =>
    Effect.gen(function* () {
      const file = yield* written("a.json", "{}")
      const real = yield* FileSystem.FileSystem
      // As root nothing is forbidden, so the file system says it here.
      const { SystemError } = yield* Effect.promise(() => import("@effect/platform/Error"))
      const denied = new SystemError({ module: "FileSystem", method: "readFile", reason: "PermissionDenied" })
      const error = yield* Effect.flip(read(file)).pipe(
        Effect.provideService(FileSystem.FileSystem, { ...real, readFile: () => Effect.fail(denied) })
      )
      expect(error).toMatchObject({ reason: "source_unavailable", source: file })
      expect(error.message).toContain("PermissionDenied")
      expect(error.message).toContain("may read it")
    })
  )

  live("that is optional may be missing, and not broken", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      expect((yield* read(path.join(dir, "a.json"), { optional: true })).unsafeSnapshot().keys).toEqual([])
      const broken = yield* written("a.json", "{")
      expect((yield* Effect.flip(read(broken, { optional: true }))).reason).toBe("source_unavailable")
    })
  )

  live("with a mistake tells where it is and quotes nothing", () =>
    Effect.gen(function* () {
      const broken = {
        "a.json": '{\n  "password": hunter2\n}',
        "b.json": '{"password": "hunter2",}',
        "a.yaml": "a: 1\npassword: [hunter2\n",
        "twice.yaml": "password: hunter2\nb: 1\npassword: hunter3\n",
        "alias.yaml": "password: *hunter2\n",
        "a.toml": 'a = 1\npassword = hunter2"\n',
        "twice.toml": 'password = "hunter2"\npassword = "hunter3"\n'
      }
      for (const [name, text] of Object.entries(broken)) {
        const error = yield* Effect.flip(read(yield* written(name, text)))
        expect(error.reason).toBe("source_unavailable")
        expect(JSON.stringify(error) + error.message + error.stack).not.toContain("hunter")
        if (!name.includes("alias") && name !== "a.json") expect(error.message).toMatch(/line \d+, column \d+/)
      }
    })
  )

  live("with hostile names is a ConfigError in each format, and pollutes nothing", () =>
    Effect.gen(function* () {
      for (const name of ["__proto__", "constructor", "prototype"]) {
        const texts = {
          "a.json": `{"a": {"${name}": {"polluted": true}}}`,
          "a.yaml": `a:\n  ${name}:\n    polluted: true\n`,
          "a.toml": `[a.${name}]\npolluted = true\n`
        }
        for (const [file, text] of Object.entries(texts)) {
          expect(yield* Effect.flip(read(yield* written(file, text)))).toMatchObject({
            reason: "invalid_key",
            path: `a.${name}`
          })
        }
      }
      for (const name of ["A____proto____POLLUTED", "A__CONSTRUCTOR__POLLUTED"]) {
        expect((yield* Effect.flip(read(yield* written(".env", `${name}=1\n`)))).reason).toBe("invalid_key")
      }
      expect(Reflect.get({}, "polluted")).toBeUndefined()
    })
  )

  live(
    "nested ten thousand deep gets an answer in each format",
    () =>
      Effect.gen(function* () {
        const deep = 10_000
        const texts = {
          "list.json": `{"a": ${"[".repeat(deep)}${"]".repeat(deep)}}`,
          "object.json": `${'{"a":'.repeat(deep)}1${"}".repeat(deep)}`,
          "list.yaml": `a: ${"[".repeat(deep)}${"]".repeat(deep)}`,
          "object.yaml": `${"{a: ".repeat(deep)}1${"}".repeat(deep)}`,
          "open.yaml": `a: ${"[".repeat(deep)}`,
          "list.toml": `a = ${"[".repeat(deep)}${"]".repeat(deep)}`,
          "object.toml": `a = ${"{a=".repeat(deep)}1${"}".repeat(deep)}`,
          "dotted.toml": `${Array.from({ length: deep }, () => "a").join(".")} = 1`,
          ".env": `${Array.from({ length: deep }, () => "A").join("__")}=1`
        }
        for (const [name, text] of Object.entries(texts)) {
          const error = yield* Effect.flip(read(yield* written(name, text)))
          expect(error._tag).toBe("ConfigError")
          expect(error.message.length).toBeLessThan(2000)
        }
      }),
    60_000
  )

  live(
    "of ten megabytes is read, or refused where its parser would take too long",
    () =>
      Effect.gen(function* () {
        const values = Array.from(
          { length: 250_000 },
          (_, index) => [`key${index}`, `the value numbered ${index}`] as const
        )
        const json = JSON.stringify({ values: Object.fromEntries(values) })
        expect(json.length).toBeGreaterThan(9_000_000)
        const config = yield* read(yield* written("a.json", json))
        expect(yield* config.get("values.key249999", "")).toBe("the value numbered 249999")
        yield* config.set("values.key1", "set")
        expect(yield* config.get("values.key1", "")).toBe("set")
        const long = yield* read(yield* written("b.json", JSON.stringify({ text: "x".repeat(10_000_000) })))
        expect((yield* long.get("text", "")).length).toBe(10_000_000)
        const yaml = yield* Effect.flip(read(yield* written("a.yaml", json)))
        expect(yaml).toMatchObject({ reason: "source_unavailable" })
        expect(yaml.message).toContain("larger than")
        const huge = yield* Effect.flip(read(yield* written("c.json", `{"a": "${"x".repeat(17_000_000)}"}`)))
        expect(huge.message).toContain("larger than")
      }),
    120_000
  )

  live("with aliases that multiply is refused", () =>
    Effect.gen(function* () {
      const line = (name: string, of: string) => `${name}: &${name} [${Array.from({ length: 10 }, () => of).join(",")}]`
      const text = [line("a", "x"), line("b", "*a"), line("c", "*b"), line("d", "*c"), line("e", "*d")].join("\n")
      expect((yield* Effect.flip(read(yield* written("a.yaml", text)))).reason).toBe("source_unavailable")
    })
  )

  live("marks as secret what it is told to", () =>
    Effect.gen(function* () {
      const config = yield* read(yield* written("a.json", '{"stripe": {"id": "sk_live"}, "a": 1}'), {
        secrets: ["stripe"]
      })
      expect(JSON.stringify(config.unsafeSnapshot())).toBe('{"stripe":{"id":"<redacted>"},"a":1}')
    })
  )
})

/** A file system that has these files and nothing else, and tells nothing. */
const files = (contents: Map<string, string>) => {
  const missing = (method: string) =>
    Effect.flatMap(
      Effect.promise(() => import("@effect/platform/Error")),
      ({ SystemError }) => Effect.fail(new SystemError({ module: "FileSystem", method, reason: "NotFound" }))
    )
  let writes = 0
  return {
    write: (name: string, text: string) => {
      writes++
      contents.set(name, text)
    },
    layer: FileSystem.layerNoop({
      exists: (name) => Effect.sync(() => contents.has(name)),
      readFile: (name) =>
        Effect.suspend(() => {
          const text = contents.get(name)
          return text === undefined ? missing("readFile") : Effect.succeed(new TextEncoder().encode(text))
        }),
      stat: (name) =>
        Effect.suspend(() => {
          const text = contents.get(name)
          return text === undefined
            ? missing("stat")
            : Effect.succeed({
                type: "File",
                size: FileSystem.Size(text.length),
                mtime: Option.some(new Date(writes)),
                dev: 1,
                ino: Option.some(1)
              } as FileSystem.File.Info)
        })
    })
  }
}

describe("the default layer", () => {
  const withEnvironment = (variables: Record<string, string>) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = { ...process.env }
        Object.assign(process.env, variables)
        return before
      }),
      (before) =>
        Effect.sync(() => {
          for (const name of Object.keys(variables)) {
            if (before[name] === undefined) delete process.env[name]
            else process.env[name] = before[name]
          }
        })
    )
  const on = (contents: Record<string, string>) => {
    const system = files(new Map(Object.entries(contents)))
    return {
      ...system,
      layer: Config.layer.pipe(Layer.provide(Layer.merge(system.layer, Telemetry.layer)))
    }
  }

  it.scoped("reads the first file there is, and the environment on top", () =>
    Effect.gen(function* () {
      yield* withEnvironment({ FOUNDATION__SERVER__MAX_REQUESTS: "9" })
      const { layer } = on({
        "foundation.config.toml": "from = 'toml'",
        "foundation.config.yml": "from: yml\nserver: {maxRequests: 1, port: 1}"
      })
      yield* Effect.gen(function* () {
        expect(yield* Config.get("from", "")).toBe("yml")
        expect(yield* Config.get("server.maxRequests", 0)).toBe(9)
        expect(yield* Config.get("server.port", 0)).toBe(1)
      }).pipe(Effect.provide(layer))
    })
  )

  it.scoped("is content with the environment where there is no file", () =>
    Effect.gen(function* () {
      yield* withEnvironment({ FOUNDATION__A: "1" })
      expect(yield* Config.get("a", 0).pipe(Effect.provide(on({}).layer))).toBe(1)
    })
  )

  it.scoped("reads the file that FOUNDATION_CONFIG names, which must be there", () =>
    Effect.gen(function* () {
      yield* withEnvironment({ FOUNDATION_CONFIG: "/etc/app.json" })
      const contents = { "foundation.config.yaml": "a: 1" }
      const error = yield* Effect.flip(Config.get("a").pipe(Effect.provide(on(contents).layer)))
      expect(error).toMatchObject({ reason: "source_unavailable", source: "/etc/app.json" })
      const { layer } = on({ ...contents, "/etc/app.json": '{"a": 2}' })
      expect(yield* Config.get("a", 0).pipe(Effect.provide(layer))).toBe(2)
    })
  )

  it.scoped("watches the file, on the clock of the program", () =>
    Effect.gen(function* () {
      const { layer, write } = on({ "foundation.config.json": '{"a": 1}' })
      yield* Effect.gen(function* () {
        expect(yield* Config.get("a", 0)).toBe(1)
        write("foundation.config.json", '{"a": 2}')
        yield* TestClock.adjust("2 seconds")
        expect(yield* Config.get("a", 0)).toBe(2)
      }).pipe(Effect.provide(layer))
    })
  )

  it.scoped("answers keys and their types as every configuration does", () =>
    Effect.gen(function* () {
      const Server = Config.Key("server", Schema.Struct({ port: Schema.Number }))
      const { layer } = on({ "foundation.config.json": '{"server": {"port": 1}}' })
      expect(yield* Config.get(Server).pipe(Effect.provide(layer))).toEqual({ port: 1 })
    })
  )
})
