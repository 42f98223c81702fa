import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { createServer as createTcpServer } from "node:net"
import { FetchHttpClient, HttpBody, HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Stream, TestClock } from "effect"
import { CircuitBreaker, ConfigError, CorrelationId, Retry, Telemetry } from "effect-foundation"
import * as Client from "effect-foundation/Http/Client"
import { noDurations } from "../support/noDurations.js"

const services = Layer.mergeAll(CircuitBreaker.layer, NodeHttpClient.layer).pipe(Layer.provideMerge(Telemetry.layer))

interface Seen {
  readonly method: string | undefined
  readonly headers: IncomingMessage["headers"]
  readonly body: string
}

type Reply = (response: ServerResponse, request: Seen, count: number) => void

/** A server that answers as told, and keeps what it was asked. */
const answering = (reply: Reply) =>
  Effect.gen(function* () {
    const seen: Array<Seen> = []
    const server = createServer((request, response) => {
      let body = ""
      request.on("data", (chunk) => {
        body += chunk
      })
      request.on("end", () => {
        const asked = { method: request.method, headers: request.headers, body }
        reply(response, asked, seen.push(asked))
      })
    })
    const connections = { now: 0, ever: 0 }
    server.on("connection", (socket) => {
      connections.now++
      connections.ever++
      socket.on("close", () => connections.now--)
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.async<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    )
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`
    return { url, seen, connections }
  })

const status =
  (...statuses: ReadonlyArray<number>): Reply =>
  (response, _, count) => {
    response.writeHead(statuses[Math.min(count, statuses.length) - 1] ?? 200).end("body")
  }

/** The client under test: without retries where not told otherwise. */
const clientOf = (options: Client.Options = {}) =>
  Effect.map(HttpClient.HttpClient, Client.resilient({ retry: false, ...options }))

/** Runs while the clock goes on, for waits between attempts. */
const withTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    while (fiber.unsafePoll() === null) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("50 millis")
    }
    return yield* Fiber.join(fiber)
  })

const collected = Effect.gen(function* () {
  const events: Array<Telemetry.Event> = []
  yield* Telemetry.attach("collected", "http.*", (event) => void events.push(event))
  return events
})

describe("the circuit", () => {
  it.scoped("of an origin opens after its failures, and leaves other origins alone", () =>
    Effect.gen(function* () {
      const bad = yield* answering(status(500))
      const good = yield* answering(status(200))
      const client = yield* clientOf({ maxFailures: 2 })
      expect((yield* client.get(`${bad.url}/a`)).status).toBe(500)
      expect((yield* client.get(`${bad.url}/b?c=d#e`)).status).toBe(500)
      const error = yield* Effect.flip(client.get(bad.url))
      expect(error).toMatchObject({ _tag: "CircuitOpen", circuit: bad.url, state: "open" })
      expect((yield* client.get(good.url)).status).toBe(200)
      expect(bad.seen).toHaveLength(2)
    }).pipe(Effect.provide(services))
  )

  it.scoped.each([
    [500, "open"],
    [503, "open"],
    [599, "open"],
    [429, "open"],
    [404, "closed"],
    [400, "closed"],
    [301, "closed"],
    [200, "closed"]
  ] as const)("takes a %i, which the caller gets all the same, and is %s", ([code, state]) =>
    Effect.gen(function* () {
      const server = yield* answering(status(code))
      const client = yield* clientOf({ maxFailures: 1 })
      const response = yield* client.get(server.url)
      expect([response.status, yield* response.text]).toEqual([code, "body"])
      expect(yield* CircuitBreaker.state(server.url)).toBe(state)
    }).pipe(Effect.provide(services))
  )

  it.scoped("is not closed by a 4xx, which says nothing, but by a success", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(500, 404, 200))
      const client = yield* clientOf({ maxFailures: 1, resetTimeout: "10 seconds" })
      yield* client.get(server.url)
      yield* TestClock.adjust("10 seconds")
      expect((yield* client.get(server.url)).status).toBe(404)
      expect(yield* CircuitBreaker.state(server.url)).toBe("half_open")
      expect((yield* client.get(server.url)).status).toBe(200)
      expect(yield* CircuitBreaker.state(server.url)).toBe("closed")
    }).pipe(Effect.provide(services))
  )

  it.scoped(
    "counts what got no response: a refused connection, one that breaks, one that is answered with nonsense",
    () =>
      Effect.gen(function* () {
        const nonsense = createTcpServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"))
        const address = yield* Effect.acquireRelease(
          Effect.async<number>(
            (resume) =>
              void nonsense.listen(0, "127.0.0.1", () => {
                const address = nonsense.address()
                resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
              })
          ),
          () => Effect.sync(() => nonsense.close())
        )
        const breaking = yield* answering((response) => response.destroy())
        const client = yield* clientOf({ maxFailures: 1 })
        for (const url of ["http://127.0.0.1:1", breaking.url, `http://127.0.0.1:${address}`]) {
          expect((yield* Effect.flip(client.get(url)))._tag).toBe("RequestError")
          expect(yield* CircuitBreaker.state(url)).toBe("open")
        }
      }).pipe(Effect.provide(services))
  )

  it.effect("counts no request that could not be sent, and has none for what is no URL", () =>
    Effect.gen(function* () {
      const client = yield* clientOf({ maxFailures: 1 })
      expect(yield* Effect.flip(client.get("http://[nonsense"))).toMatchObject({
        _tag: "RequestError",
        reason: "InvalidUrl"
      })
      const broken = HttpClientRequest.post("http://127.0.0.1:1/").pipe(
        HttpClientRequest.bodyStream(Stream.fail("broken"))
      )
      yield* Effect.ignore(client.execute(broken))
      expect((yield* CircuitBreaker.states).map(({ name }) => name)).toEqual(["http://127.0.0.1:1"])
    }).pipe(Effect.provide(services))
  )

  it.scoped("may have a name, or one by request, and outcomes of one's own", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(418))
      const named = yield* clientOf({ name: "tea", maxFailures: 1, classify: () => "failure" })
      yield* named.get(server.url)
      expect(yield* CircuitBreaker.state("tea")).toBe("open")
      const sharded = yield* clientOf({
        name: ({ headers }, origin) => `${origin} ${headers["x-shard"]}`,
        timeout: "1 second"
      })
      yield* sharded.get(server.url, { headers: { "x-shard": "7" } })
      expect((yield* CircuitBreaker.states).map(({ name }) => name)).toEqual(["tea", `${server.url} 7`])
    }).pipe(Effect.provide(services))
  )

  it.scoped("stays open for as long as Retry-After says, and no longer than it may", () =>
    Effect.gen(function* () {
      const server = yield* answering((response) => response.writeHead(503, { "retry-after": "120" }).end())
      const client = yield* clientOf({ maxFailures: 2, resetTimeout: "10 seconds" })
      yield* client.get(server.url)
      expect(yield* CircuitBreaker.state(server.url)).toBe("closed")
      yield* client.get(server.url)
      expect((yield* CircuitBreaker.status(server.url)).retryAfter).toEqual(Duration.seconds(120))
      yield* TestClock.adjust("119 seconds")
      const error = yield* Effect.flip(client.get(server.url))
      expect(error).toMatchObject({ _tag: "CircuitOpen", retryAfter: Duration.seconds(1) })
      yield* TestClock.adjust("1 seconds")
      // A probe that is told to wait makes the next opening as long.
      yield* client.get(server.url)
      expect((yield* CircuitBreaker.status(server.url)).retryAfter).toEqual(Duration.seconds(120))

      const greedy = yield* answering((response) => response.writeHead(429, { "retry-after": "99999999999" }).end())
      const bounded = yield* clientOf({ maxFailures: 1, maxRetryAfter: "3 minutes" })
      yield* bounded.get(greedy.url)
      expect((yield* CircuitBreaker.status(greedy.url)).retryAfter).toEqual(Duration.minutes(3))
    }).pipe(Effect.provide(services))
  )

  it.scoped("heeds the longest of what the failures asked for, and a date by the server's own clock", () =>
    Effect.gen(function* () {
      const dates = { date: "Sun, 22 Nov 2026 11:00:00 GMT", "retry-after": "Sun, 22 Nov 2026 11:01:00 GMT" }
      const server = yield* answering((response, _, count) => {
        if (count === 1) response.writeHead(503, dates).end()
        else response.destroy()
      })
      const client = yield* clientOf({ maxFailures: 2, resetTimeout: "10 seconds" })
      yield* client.get(server.url)
      yield* TestClock.adjust("20 seconds")
      yield* Effect.flip(client.get(server.url))
      expect((yield* CircuitBreaker.status(server.url)).retryAfter).toEqual(Duration.seconds(40))
    }).pipe(Effect.provide(services))
  )

  it.scoped("forgets what was asked for when a call succeeds", () =>
    Effect.gen(function* () {
      const server = yield* answering((response, _, count) => {
        if (count === 1) response.writeHead(503, { "retry-after": "300" }).end()
        else response.writeHead(count === 2 ? 200 : 500).end()
      })
      const client = yield* clientOf({ maxFailures: 1, trip: { type: "consecutive" }, resetTimeout: "10 seconds" })
      yield* CircuitBreaker.execute(Effect.void, { name: server.url, maxFailures: 2, resetTimeout: "10 seconds" })
      yield* client.get(server.url)
      yield* client.get(server.url)
      yield* client.get(server.url)
      yield* client.get(server.url)
      expect((yield* CircuitBreaker.status(server.url)).retryAfter).toEqual(Duration.seconds(10))
    }).pipe(Effect.provide(services))
  )
})

describe("the timeout", () => {
  it.scoped("interrupts a request that gets no answer, and lets go of its connection", () =>
    Effect.gen(function* () {
      const server = yield* answering(() => undefined)
      const client = yield* clientOf({ timeout: "1 second", maxFailures: 1 })
      const error = yield* Effect.flip(withTime(client.get(server.url)))
      expect(error).toMatchObject({ _tag: "OperationTimeout", circuit: server.url })
      expect(yield* CircuitBreaker.state(server.url)).toBe("open")
      yield* until(() => server.connections.now === 0)
    }).pipe(Effect.provide(services))
  )

  it.scoped("is that of the head: a body may take longer", () =>
    Effect.gen(function* () {
      let end = () => {}
      const server = yield* answering((response) => {
        response.writeHead(200).write("slow ")
        end = () => response.end("body")
      })
      const client = yield* clientOf({ timeout: "1 second" })
      const response = yield* client.get(server.url)
      const text = yield* Effect.fork(response.text)
      yield* TestClock.adjust("1 minute")
      end()
      expect(yield* Fiber.join(text)).toBe("slow body")
    }).pipe(Effect.provide(services))
  )
})

/** Waits on real time, in which sockets live. */
const until = (condition: () => boolean) =>
  Effect.promise(async () => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
  })

describe("retries", () => {
  const retry = { base: "100 millis", jitter: 0 } as const

  it.scoped("repeat what is idempotent and transient, and give the last response", () =>
    Effect.gen(function* () {
      for (const [method, statuses, expected, count] of [
        ["GET", [503, 429, 200], 200, 3],
        ["PUT", [500, 200], 200, 2],
        ["DELETE", [502, 504, 408, 425, 500], 425, 4],
        ["GET", [404, 200], 404, 1],
        ["GET", [501, 200], 501, 1],
        ["POST", [503, 200], 503, 1],
        ["PATCH", [503, 200], 503, 1]
      ] as const) {
        const server = yield* answering(status(...statuses))
        const client = yield* clientOf({ retry, maxFailures: 100 })
        const request = HttpClientRequest.make(method)(server.url)
        const response = yield* withTime(client.execute(request))
        expect([method, response.status, server.seen.length]).toEqual([method, expected, count])
        expect(yield* response.text).toBe("body")
      }
    }).pipe(Effect.provide(services))
  )

  it.scoped("repeat other methods with an Idempotency-Key, or where told so, with the same body", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(503, 200))
      const keyed = HttpClientRequest.post(server.url, { headers: { "Idempotency-Key": "k" } }).pipe(
        HttpClientRequest.bodyText("a body")
      )
      expect((yield* withTime((yield* clientOf({ retry })).execute(keyed))).status).toBe(200)
      expect(server.seen.map(({ body }) => body)).toEqual(["a body", "a body"])

      const other = yield* answering(status(503, 200))
      const told = yield* clientOf({ retry: { ...retry, methods: ["post"] } })
      expect((yield* withTime(told.post(other.url, {}))).status).toBe(200)
      // Those that are told are all.
      const not = yield* answering(status(503, 200))
      expect((yield* withTime(told.get(not.url))).status).toBe(503)
    }).pipe(Effect.provide(services))
  )

  it.scoped("never repeat a body that can be sent only once", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(503, 200))
      const client = yield* clientOf({ retry })
      const stream = HttpBody.stream(Stream.make(new TextEncoder().encode("once")), "text/plain")
      const response = yield* withTime(client.execute(HttpClientRequest.put(server.url, { body: stream })))
      expect([response.status, server.seen.length]).toEqual([503, 1])
    }).pipe(Effect.provide(services))
  )

  it.scoped("come no earlier than Retry-After says, and not at all where that is too late", () =>
    Effect.gen(function* () {
      const server = yield* answering((response, _, count) =>
        response.writeHead(count === 1 ? 503 : 200, { "retry-after": "7" }).end()
      )
      const client = yield* clientOf({ retry: { times: 1, base: 0 } })
      const fiber = yield* Effect.fork(client.get(server.url))
      yield* until(() => server.seen.length === 1)
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
      yield* TestClock.adjust("6999 millis")
      expect(server.seen).toHaveLength(1)
      yield* TestClock.adjust("1 millis")
      expect((yield* Fiber.join(fiber)).status).toBe(200)

      const late = yield* answering((response) => response.writeHead(503, { "retry-after": "61" }).end())
      const response = yield* (yield* clientOf({ retry: {} })).get(late.url)
      expect([response.status, late.seen.length]).toEqual([503, 1])
    }).pipe(Effect.provide(services))
  )

  it.scoped("repeat what got no response or timed out, and fail fast where the circuit is open", () =>
    Effect.gen(function* () {
      const server = yield* answering((response, _, count) => {
        if (count === 1) response.destroy()
        else if (count > 2) response.end("fine")
      })
      const client = yield* clientOf({ retry, timeout: "1 second" })
      expect((yield* withTime(client.get(server.url))).status).toBe(200)
      expect(server.seen).toHaveLength(3)
      yield* CircuitBreaker.forceOpen(server.url)
      expect((yield* Effect.flip(client.get(server.url)))._tag).toBe("CircuitOpen")

      const failing = yield* answering(status(503))
      const tripped = yield* clientOf({ retry, maxFailures: 2 })
      expect((yield* Effect.flip(withTime(tripped.get(failing.url))))._tag).toBe("CircuitOpen")
      expect(failing.seen).toHaveLength(2)
    }).pipe(Effect.provide(services))
  )

  it.scoped("let go of the responses that they replace", () =>
    Effect.gen(function* () {
      // More than is read to use a connection again, and a body that never ends.
      const server = yield* answering((response, _, count) => {
        if (count > 4) response.end("fine")
        else if (count % 2 === 0) response.writeHead(503).end(Buffer.alloc(1_000_000))
        else response.writeHead(503).write("never ends")
      })
      const client = yield* clientOf({ retry: { ...retry, times: 4 }, maxFailures: 100 })
      const response = yield* withTime(client.get(server.url))
      expect(yield* response.text).toBe("fine")
      yield* TestClock.adjust("1 second")
      yield* until(() => server.connections.now <= 1)
    }).pipe(Effect.provide(services))
  )

  it.effect("of others can heed Retry-After too", () =>
    Effect.gen(function* () {
      const server = yield* answering((response, _, count) =>
        response.writeHead(count === 1 ? 429 : 200, { "retry-after": "30" }).end()
      )
      const client = (yield* HttpClient.HttpClient).pipe(HttpClient.filterStatusOk)
      const fiber = yield* client
        .get(server.url)
        .pipe(Effect.retry(Retry.schedule({ base: 0, retryAfter: Client.retryAfter })), Effect.fork)
      yield* until(() => server.seen.length === 1)
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
      yield* TestClock.adjust("29 seconds")
      expect(server.seen).toHaveLength(1)
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(fiber)).status).toBe(200)
    }).pipe(Effect.scoped, Effect.provide(services))
  )
})

describe("what is sent and told", () => {
  it.scoped("sends the correlation id on, the same with each attempt, and what a request has of its own", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(503, 200))
      const client = yield* clientOf({ retry: { base: "10 millis" } })
      yield* withTime(client.get(server.url).pipe(CorrelationId.with("order-42")))
      yield* client.get(server.url, { headers: { "X-Correlation-Id": "own" } })
      const ids = server.seen.map(({ headers }) => headers["x-correlation-id"])
      expect(ids).toEqual(["order-42", "order-42", "own"])
      const other = yield* clientOf({ correlationHeader: "X-Request-Id" })
      yield* other.get(server.url).pipe(CorrelationId.with("order-43"))
      yield* (yield* clientOf({ correlationHeader: false })).get(server.url)
      expect(server.seen.slice(3).map(({ headers }) => [headers["x-request-id"], headers["x-correlation-id"]])).toEqual(
        [
          ["order-43", undefined],
          [undefined, undefined]
        ]
      )
    }).pipe(Effect.provide(services))
  )

  it.scoped("sends a trace id that agrees with the correlation id, where there is a span", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(200))
      yield* (yield* clientOf()).get(server.url).pipe(Effect.withSpan("work"))
      const { traceparent, "x-correlation-id": id } = server.seen[0]?.headers ?? {}
      expect(String(traceparent).split("-")[1]).toBe(id)
    }).pipe(Effect.provide(services))
  )

  it.scoped("tells of each attempt and of each retry", () =>
    Effect.gen(function* () {
      const events = yield* collected
      const server = yield* answering(status(503, 404))
      const client = yield* clientOf({ retry: { base: "10 millis" }, maxFailures: 5 })
      yield* withTime(client.get(`${server.url}/secret?token=1`))
      yield* CircuitBreaker.forceOpen(server.url)
      yield* Effect.flip(client.get(server.url))
      yield* Effect.flip(withTime(client.get("http://127.0.0.1:1/")))
      const origin = server.url
      const told = events.map(({ metadata, name }) => [name, ...Object.values(metadata)])
      expect(told.slice(0, 4)).toEqual([
        ["http.client.request", "GET", origin, 503, "failure"],
        ["http.client.retry", "GET", origin, "503"],
        ["http.client.request", "GET", origin, 404, "ignore"],
        ["http.client.request", "GET", origin, 0, "rejected"]
      ])
      expect(told.slice(4, 6)).toEqual([
        ["http.client.request", "GET", "http://127.0.0.1:1", 0, "failure"],
        ["http.client.retry", "GET", "http://127.0.0.1:1", "RequestError"]
      ])
      expect(JSON.stringify(events)).not.toContain("token")
    }).pipe(Effect.provide(services))
  )

  it.scoped("takes a classification that throws for a failure, as the circuit does", () =>
    Effect.gen(function* () {
      const events = yield* collected
      const server = yield* answering(status(200))
      const classify = () => {
        throw new Error("bug")
      }
      const client = yield* clientOf({ maxFailures: 1, classify })
      expect((yield* client.get(server.url)).status).toBe(200)
      expect(yield* CircuitBreaker.state(server.url)).toBe("open")
      expect(events.map(({ metadata }) => metadata.outcome)).toEqual(["failure"])
    }).pipe(Effect.provide(services))
  )

  it.scoped("tells of an interruption, which counts as nothing to the circuit", () =>
    Effect.gen(function* () {
      const events = yield* collected
      const server = yield* answering(() => undefined)
      const client = yield* clientOf({ maxFailures: 1 })
      const fiber = yield* Effect.fork(client.get(server.url))
      yield* until(() => server.seen.length === 1)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(events.map(({ metadata }) => metadata.outcome)).toEqual(["interrupted"])
      expect(yield* CircuitBreaker.state(server.url)).toBe("closed")
      yield* until(() => server.connections.now === 0)
    }).pipe(Effect.provide(services))
  )
})

describe("Client.resilient", () => {
  it("throws where it is made, if an option is invalid", () => {
    for (const options of [
      { maxFailures: 0 },
      { timeout: -1 },
      { retry: { times: -1 } },
      { maxRetryAfter: "soon" as "1 second" },
      ...noDurations.map((maxRetryAfter) => ({ maxRetryAfter }))
    ]) {
      expect(() =>
        Client.resilient(
          HttpClient.make(() => Effect.never),
          options
        )
      ).toThrow(ConfigError)
    }
  })

  it.scoped("serves those who use an HttpClient as a layer, whose errors are those of any client", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(500))
      const live = Client.layer({ maxFailures: 1, retry: false }).pipe(Layer.provide(FetchHttpClient.layer))
      const error = yield* Effect.zipRight(HttpClient.get(server.url), Effect.flip(HttpClient.get(server.url))).pipe(
        Effect.provide(live)
      )
      expect(error).toMatchObject({ _tag: "RequestError", reason: "Transport", cause: { _tag: "CircuitOpen" } })
      expect(error.message).toContain(`Circuit "${server.url}" is open`)
    }).pipe(Effect.provide(services))
  )

  it.scoped("keeps what was done to the client before, and takes what is done to it after", () =>
    Effect.gen(function* () {
      const server = yield* answering(status(200))
      const client = (yield* HttpClient.HttpClient).pipe(
        HttpClient.mapRequest(HttpClientRequest.setHeader("x-before", "1")),
        Client.resilient({ maxFailures: 3 }),
        HttpClient.mapRequest(HttpClientRequest.prependUrl(server.url)),
        HttpClient.filterStatusOk
      )
      yield* client.get("/path")
      expect(server.seen[0]?.headers["x-before"]).toBe("1")
      expect((yield* CircuitBreaker.states).map(({ name }) => name)).toEqual([server.url])
    }).pipe(Effect.provide(services))
  )
})
