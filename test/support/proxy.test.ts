import { connect, createServer, type Socket } from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Redacted } from "effect"
import pg from "pg"
import { sharedPostgres } from "./postgres.js"
import { makeProxy } from "./proxy.js"

/** A server that answers what it is told, and remembers who has left. */
const echo = Effect.gen(function* () {
  const left = yield* Queue.unbounded<string>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {})
    socket.on("end", () => {
      left.unsafeOffer("end")
      socket.end()
    })
    socket.pipe(socket, { end: false })
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => server.close())
  )
  const address = server.address()
  if (typeof address !== "object" || address === null) return yield* Effect.dieMessage("no port")
  return { port: address.port, left }
})

/** A connection, with what happened to it in order. */
const client = (port: number) =>
  Effect.gen(function* () {
    const heard = yield* Queue.unbounded<string>()
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => connect(port, "127.0.0.1")),
      (socket: Socket) => Effect.sync(() => socket.destroy())
    )
    socket.on("connect", () => heard.unsafeOffer("connected"))
    socket.on("data", (chunk) => heard.unsafeOffer(String(chunk)))
    socket.on("error", (error: NodeJS.ErrnoException) => heard.unsafeOffer(error.code ?? error.message))
    socket.on("end", () => heard.unsafeOffer("end"))
    return {
      heard: heard.take,
      size: Queue.size(heard),
      say: (text: string) => socket.write(text),
      end: () => socket.end()
    }
  })

describe("a proxy", () => {
  it.scopedLive("passes what is said, both ways, and the end of it", () =>
    Effect.gen(function* () {
      const { left, port } = yield* echo
      const proxy = yield* makeProxy(port)
      const one = yield* client(proxy.port)
      expect(yield* one.heard).toBe("connected")
      one.say("hello")
      expect(yield* one.heard).toBe("hello")
      one.end()
      expect(yield* left.take).toBe("end")
      expect(yield* one.heard).toBe("end")
    })
  )

  it.scopedLive("cuts the connections that there are, and takes new ones", () =>
    Effect.gen(function* () {
      const { port } = yield* echo
      const proxy = yield* makeProxy(port)
      const one = yield* client(proxy.port)
      one.say("hello")
      expect([yield* one.heard, yield* one.heard]).toEqual(["connected", "hello"])
      yield* proxy.cut
      expect(yield* one.heard).toBe("ECONNRESET")
      const other = yield* client(proxy.port)
      other.say("again")
      expect([yield* other.heard, yield* other.heard]).toEqual(["connected", "again"])
    })
  )

  it.scopedLive("as a black hole keeps connections, takes new ones and passes nothing until it is healed", () =>
    Effect.gen(function* () {
      const { left, port } = yield* echo
      const proxy = yield* makeProxy(port)
      const one = yield* client(proxy.port)
      one.say("before")
      expect([yield* one.heard, yield* one.heard]).toEqual(["connected", "before"])
      yield* proxy.blackhole
      one.say("during")
      one.end()
      const other = yield* client(proxy.port)
      other.say("new")
      expect(yield* other.heard).toBe("connected")
      // A round trip past the proxy, in which it would have passed on what it holds.
      const direct = yield* client(port)
      direct.say("direct")
      expect([yield* direct.heard, yield* direct.heard]).toEqual(["connected", "direct"])
      expect([yield* one.size, yield* other.size, yield* Queue.size(left)]).toEqual([0, 0, 0])
      yield* proxy.heal
      expect([yield* one.heard, yield* other.heard, yield* one.heard]).toEqual(["during", "new", "end"])
    })
  )

  it.scopedLive("refuses until it is healed", () =>
    Effect.gen(function* () {
      const { port } = yield* echo
      const proxy = yield* makeProxy(port)
      const one = yield* client(proxy.port)
      one.say("hello")
      expect([yield* one.heard, yield* one.heard]).toEqual(["connected", "hello"])
      yield* proxy.refuse
      expect(yield* one.heard).toBe("ECONNRESET")
      const other = yield* client(proxy.port)
      expect(yield* other.heard).toBe("ECONNREFUSED")
      yield* proxy.heal
      const third = yield* client(proxy.port)
      third.say("again")
      expect([yield* third.heard, yield* third.heard]).toEqual(["connected", "again"])
    })
  )

  it.scopedLive("resets the client whose server is gone", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(echo)
      const proxy = yield* makeProxy(port)
      const one = yield* client(proxy.port)
      expect([yield* one.heard, yield* one.heard]).toEqual(["connected", "ECONNRESET"])
    })
  )

  it.scopedLive("stands in front of a PostgreSQL by its URL", () =>
    Effect.gen(function* () {
      const url = Redacted.value(yield* sharedPostgres)
      const proxy = yield* makeProxy(Number(new URL(url).port))
      const client = new pg.Client({ connectionString: Redacted.value(proxy.through(Redacted.make(url))) })
      client.on("error", () => {})
      const ask = (statement: string) =>
        Effect.tryPromise({ try: async () => (await client.query(statement)).rows, catch: String })
      yield* Effect.promise(() => client.connect())
      expect([yield* ask("SELECT 1 AS one"), yield* proxy.connections]).toEqual([[{ one: 1 }], 1])
      yield* proxy.blackhole
      const held = yield* Effect.fork(ask("SELECT 2 AS two"))
      yield* proxy.heal
      expect(yield* Fiber.join(held)).toEqual([{ two: 2 }])
      const cut = yield* Effect.fork(Effect.flip(ask("SELECT pg_sleep(60)")))
      yield* proxy.cut
      expect(yield* Fiber.join(cut)).toMatch(/ECONNRESET|terminated/)
      expect(yield* proxy.connections).toBe(0)
    })
  )
})
