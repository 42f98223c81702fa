import { createServer, type Socket } from "node:net"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, Schedule } from "effect"
import { Redis } from "effect-foundation/Redis"
import { Telemetry } from "effect-foundation/Telemetry"
import { startRedis } from "../../examples/servers/Redis.js"
import { answering, describeRedis } from "../support/redis.js"

const add = Redis.script("return redis.call('INCR', KEYS[1])")

/** The master that the sentinel names, without words on the console about its comings and goings. */
const redisBy = ({ port }: { readonly port: number }) =>
  Redis.layer({ name: "limits", sentinels: [{ host: "127.0.0.1", port }] }).pipe(
    Layer.provide(Logger.minimumLogLevel(LogLevel.None))
  )

describeRedis("a master that sentinels name", () => {
  // A sentinel that finds itself short of time does nothing for 30 seconds.
  it.scopedLive(
    "is found, and followed when another takes its place",
    () =>
      Effect.gen(function* () {
        const first = yield* startRedis()
        const second = yield* startRedis({ settings: { replicaof: `127.0.0.1 ${first.port}` } })
        const sentinel = yield* startRedis({
          sentinel: [
            `sentinel monitor limits 127.0.0.1 ${first.port} 1`,
            // Short, a master that is only slow on a busy machine is replaced before the test takes it away.
            "sentinel down-after-milliseconds limits 1000",
            // A sentinel asks each second whether the replica has become the master, and gives up in this time.
            "sentinel failover-timeout limits 10000"
          ]
        })
        // The sentinel learns of the replica from the master.
        yield* sentinel.command("SENTINEL", "replicas", "limits").pipe(
          Effect.repeat({
            until: (text) => text.includes(String(second.port)) && !text.includes("s_down"),
            schedule: Schedule.spaced("50 millis")
          })
        )
        yield* Effect.gen(function* () {
          const redis = yield* Redis
          expect(yield* redis.run(add, ["orders"], [], 10_000)).toBe(1)
          expect(yield* first.command("GET", "orders")).toBe("$1\r\n1")
          yield* second
            .command("GET", "orders")
            .pipe(Effect.repeat({ until: (text) => text === "$1\r\n1", schedule: Schedule.spaced("20 millis") }))
          yield* first.kill
          yield* Effect.zipRight(answering, redis.run(add, ["failover"], [], 1000)).pipe(
            Effect.retry({ schedule: Schedule.spaced("50 millis") })
          )
          expect(yield* second.command("GET", "orders")).toBe("$1\r\n1")
          expect(yield* second.command("EXISTS", "failover")).toBe(":1")
        }).pipe(Effect.provide(redisBy(sentinel)), Effect.provide(Telemetry.layer))
      }),
    150_000
  )

  it.scopedLive("is found where the sentinels tell of it while they are asked for it", () =>
    Effect.gen(function* () {
      const first = yield* startRedis()
      const second = yield* startRedis()
      const sentinel = yield* fakeSentinel
      sentinel.answerWith(first.port)
      yield* Effect.gen(function* () {
        const redis = yield* Redis
        yield* redis.run(add, ["orders"], [], 10_000)
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => sentinel.listeners() > 0 })
        const asked = sentinel.hold()
        yield* first.kill
        yield* Effect.promise(() => asked)
        sentinel.tell()
        yield* Effect.sleep("50 millis")
        sentinel.answerWith(second.port)
        yield* answering
        expect(yield* redis.run(add, ["failover"], [], 1000)).toBe(1)
        expect(yield* second.command("EXISTS", "failover")).toBe(":1")
      }).pipe(Effect.provide(redisBy(sentinel)), Effect.provide(Telemetry.layer))
    })
  )
})

/** Names the master that it is told to, answers when it is told to, and tells those who listen that there is a new one. */
const fakeSentinel = Effect.gen(function* () {
  const listeners = new Set<Socket>()
  let master: number | undefined
  let waiting: Array<Socket> = []
  let heard = () => {}
  const answer = (socket: Socket) => socket.write(textsOf("127.0.0.1", String(master)))
  const server = createServer((socket) => {
    socket.on("error", () => undefined)
    socket.on("close", () => listeners.delete(socket))
    socket.on("data", (data) => {
      for (const command of data
        .toString()
        .toLowerCase()
        .split(/(?=\*\d+\r\n)/)) {
        if (command.includes("get-master-addr-by-name")) {
          heard()
          if (master === undefined) waiting.push(socket)
          else answer(socket)
        } else if (command.includes("sentinels")) socket.write("*0\r\n")
        else if (command.includes("subscribe")) {
          listeners.add(socket)
          socket.write(`*3\r\n${textOf("subscribe")}${textOf("+switch-master")}:1\r\n`)
        } else socket.write("+OK\r\n")
      }
    })
  })
  const port = yield* Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<number>((resolve) =>
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            resolve(typeof address === "object" ? (address?.port ?? 0) : 0)
          })
        )
    ),
    () => Effect.sync(() => server.close())
  )
  return {
    port,
    listeners: () => listeners.size,
    answerWith: (port: number) => {
      master = port
      for (const socket of waiting) answer(socket)
      waiting = []
    },
    /** Answers nothing from here on; resolves when somebody has asked. */
    hold: () => {
      master = undefined
      return new Promise<void>((resolve) => {
        heard = resolve
      })
    },
    tell: () => {
      for (const socket of listeners) socket.write(textsOf("message", "+switch-master", "limits"))
    }
  }
})

const textOf = (text: string) => `$${text.length}\r\n${text}\r\n`
const textsOf = (...texts: ReadonlyArray<string>) => `*${texts.length}\r\n${texts.map(textOf).join("")}`
