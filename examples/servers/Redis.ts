import { type ChildProcess, spawn } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { join } from "node:path"
import { Data, Effect, Schedule } from "effect"
import { freePort } from "./freePort.js"
import { makeGuard } from "./Guard.js"

/** Redis is not there, or did not start. */
export class RedisFailed extends Data.TaggedError("RedisFailed")<{
  readonly message: string
  readonly cause?: unknown
}> {}

export interface RedisOptions {
  /** Settings of the server, as in redis.conf. A password, TLS and a cluster are stated here. */
  readonly settings?: Readonly<Record<string, string | number>>
  /** Runs it as a sentinel, with these lines as its configuration. */
  readonly sentinel?: ReadonlyArray<string>
}

export interface RedisServer {
  readonly port: number
  /** Where it keeps its files. */
  readonly directory: string
  readonly pid: Effect.Effect<number | undefined>
  /** Starts it again, on the same port. */
  readonly start: Effect.Effect<void, RedisFailed>
  /** Shuts down. */
  readonly stop: Effect.Effect<void>
  /** Stops and starts. All is forgotten, unless `appendonly` is on. */
  readonly restart: Effect.Effect<void, RedisFailed>
  /** Kills it by SIGKILL. */
  readonly kill: Effect.Effect<void>
  /** Stops it in its tracks: connections stay open, new ones are taken by the system, and nobody answers. */
  readonly freeze: Effect.Effect<void>
  /** Lets a frozen server go on. */
  readonly thaw: Effect.Effect<void>
  /** Sends one command, and answers what came back, as Redis wrote it. */
  readonly command: (...words: ReadonlyArray<string>) => Effect.Effect<string, RedisFailed>
  /** Forgets all data and all scripts. */
  readonly flush: Effect.Effect<void, RedisFailed>
}

/** How to get the program, where it is not there. */
export const howToGetRedis =
  "redis-server is not on the PATH. Get it with: apt-get install redis-server, brew install redis, or dnf install redis"

const ended = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const done = () => resume(Effect.void)
    child.once("exit", done)
    return Effect.sync(() => child.removeListener("exit", done))
  })

/**
 * Starts a redis-server of its own: on a free port of 127.0.0.1, with its files in a new temporary directory, and nothing
 * persisted unless the settings say so. It takes some 20 ms. It ends with its scope, or with this process if that dies
 * first, and leaves nothing behind.
 */
export const startRedis = (options: RedisOptions = {}) =>
  Effect.gen(function* () {
    const { directory, watch } = yield* makeGuard("redis")
    const file = join(directory, "redis.conf")
    const settings = { save: "", appendonly: "no", ...options.settings }
    const password = options.settings?.requirepass

    const launchOn = (port: number) =>
      Effect.zipRight(
        Effect.promise(() =>
          writeFile(
            file,
            [
              "bind 127.0.0.1",
              `port ${port}`,
              `dir ${directory}`,
              ...(options.sentinel ??
                Object.entries(settings).map(([name, value]) => `${name} ${value === "" ? '""' : value}`))
            ].join("\n")
          )
        ),
        Effect.async<ChildProcess, RedisFailed>((resume) => {
          let said = ""
          const child = spawn("redis-server", [file, ...(options.sentinel === undefined ? [] : ["--sentinel"])], {
            cwd: directory,
            detached: true,
            stdio: ["ignore", "pipe", "pipe"]
          })
          watch(child.pid)
          child.on("error", (cause) => {
            const isAbsent = "code" in cause && cause.code === "ENOENT"
            resume(
              new RedisFailed({ message: isAbsent ? howToGetRedis : `Redis did not start: ${cause.message}`, cause })
            )
          })
          child.on("exit", () => watch(undefined))
          child.on("close", () => resume(new RedisFailed({ message: `Redis did not start: ${said.trim()}` })))
          const listen = (chunk: Buffer) => {
            said = (said + chunk).slice(-2000)
            if (/Ready to accept connections|Sentinel ID is/.test(said)) resume(Effect.succeed(child))
          }
          child.stdout.on("data", listen)
          child.stderr.on("data", listen)
          return Effect.suspend(() => {
            child.kill("SIGKILL")
            return ended(child)
          })
        })
      )

    const [port, first] = yield* freePort.pipe(
      Effect.flatMap((port) => Effect.map(launchOn(port), (child) => [port, child] as const)),
      // Somebody else has taken the port meanwhile.
      Effect.retry({ times: 3, while: (error) => error.message.includes("Address already in use") })
    )
    let running = first

    const one = yield* Effect.makeSemaphore(1)
    const isRunning = () => running.exitCode === null && running.signalCode === null
    const signal = (name: NodeJS.Signals) => Effect.sync(() => void (isRunning() && running.kill(name)))
    const thaw = signal("SIGCONT")
    const kill = Effect.zipRight(
      signal("SIGKILL"),
      Effect.suspend(() => ended(running))
    )
    const stop = thaw.pipe(
      Effect.zipRight(signal("SIGTERM")),
      Effect.zipRight(Effect.suspend(() => ended(running))),
      Effect.timeoutTo({ duration: "5 seconds", onSuccess: () => Effect.void, onTimeout: () => kill }),
      Effect.flatten
    )
    const start = Effect.gen(function* () {
      if (isRunning()) return
      running = yield* launchOn(port).pipe(
        Effect.retry({
          schedule: Schedule.spaced("50 millis").pipe(Schedule.intersect(Schedule.recurs(40))),
          while: (error) => error.message.includes("Address already in use")
        })
      )
    })
    const command = (...words: ReadonlyArray<string>) =>
      Effect.async<string, RedisFailed>((resume) => {
        let said = ""
        const socket = connect(port, "127.0.0.1")
        const line = (words: ReadonlyArray<string>) =>
          `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`
        socket.on("error", (cause) =>
          resume(new RedisFailed({ message: `No connection to Redis: ${cause.message}`, cause }))
        )
        socket.on("data", (chunk) => {
          said += chunk
        })
        socket.on("close", () => {
          const answer = password === undefined ? said : said.replace(/^\+OK\r\n/, "")
          // The last answer is that to QUIT.
          const own = answer.replace(/\+OK\r\n$/, "")
          resume(own.startsWith("-") ? new RedisFailed({ message: own.trim() }) : Effect.succeed(own.trim()))
        })
        socket.end((password === undefined ? "" : line(["AUTH", String(password)])) + line(words) + line(["QUIT"]))
        return Effect.sync(() => socket.destroy())
      })

    const server: RedisServer = {
      port,
      directory,
      pid: Effect.sync(() => (isRunning() ? running.pid : undefined)),
      start: one.withPermits(1)(start),
      stop: one.withPermits(1)(stop),
      restart: one.withPermits(1)(Effect.zipRight(stop, start)),
      kill: one.withPermits(1)(kill),
      freeze: signal("SIGSTOP"),
      thaw,
      command,
      flush: Effect.asVoid(Effect.zipRight(command("FLUSHALL"), command("SCRIPT", "FLUSH")))
    }
    return server
  })
