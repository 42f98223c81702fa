import {
  type HttpApp,
  HttpLayerRouter,
  HttpRouter,
  HttpServer,
  type HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, TestClock } from "effect"
import { ConfigError, RateLimiter, StoreUnavailable, Telemetry } from "effect-foundation"
import * as HttpCorrelationId from "effect-foundation/Http/CorrelationId"
import * as RateLimit from "effect-foundation/Http/RateLimit"
import { got, listening, serving } from "./server.js"

const services = RateLimiter.layer.pipe(Layer.provideMerge(Telemetry.layer))

const hello = HttpRouter.empty.pipe(
  HttpRouter.get("/", HttpServerResponse.text("hello")),
  HttpRouter.get("/fails", Effect.fail("own")),
  HttpRouter.get("/dies", Effect.die("bug"))
)

const fields = ({ headers }: { readonly headers: Readonly<Record<string, string>> }) => [
  headers["ratelimit-policy"],
  headers.ratelimit
]

describe("RateLimit.middleware", () => {
  it.scoped("admits, then answers 429 until a retry is admitted, and says on all responses how the limit stands", () =>
    Effect.gen(function* () {
      const limit = RateLimit.middleware({ name: "api", maxRequests: 2, interval: "1500 millis" })
      const port = yield* serving(HttpRouter.use(hello, limit))
      const first = yield* got(port)
      expect([first.status, first.body, ...fields(first)]).toEqual([200, "hello", '"api";q=2;w=2', '"api";r=1;t=2'])
      yield* TestClock.adjust("400 millis")
      // Nothing is left: the first of the two places is free again 1500 ms after it was taken.
      expect(fields(yield* got(port))).toEqual(['"api";q=2;w=2', '"api";r=0;t=2'])

      const refused = yield* got(port)
      expect([refused.status, refused.headers["retry-after"], ...fields(refused)]).toEqual([
        429,
        "2",
        '"api";q=2;w=2',
        '"api";r=0;t=2'
      ])
      expect(refused.headers["content-type"]).toBe("application/problem+json")
      expect(JSON.parse(refused.body)).toEqual({
        type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
        title: "Request cannot be satisfied as assigned quota has been exceeded",
        "violated-policies": ["api"],
        status: 429,
        detail: "The limit of 2 in 1500 ms is used up; try again in 2 s.",
        code: "rate_limited",
        correlationId: expect.any(String),
        retryAfter: 2
      })
      yield* TestClock.adjust("2 seconds")
      expect((yield* got(port)).status).toBe(200)
    }).pipe(Effect.provide(services))
  )

  it.scoped("says so too where the app fails, dies or has no such route, around the routes and around the app", () =>
    Effect.gen(function* () {
      const limit = RateLimit.middleware({ name: "api", maxRequests: 3, interval: "1 minute" })
      const answers = <E>(app: HttpApp.Default<E, RateLimiter>, paths: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          yield* RateLimiter.reset({ name: "api", key: "127.0.0.1" })
          const port = yield* serving(app)
          return yield* Effect.forEach(paths, (path) =>
            Effect.map(got(port, path), ({ headers, status }) => [path, status, headers.ratelimit?.slice(0, 9)])
          )
        })
      expect(yield* answers(HttpRouter.use(hello, limit), ["/fails", "/dies", "/", "/fails"])).toEqual([
        ["/fails", 500, '"api";r=2'],
        ["/dies", 500, '"api";r=1'],
        ["/", 200, '"api";r=0'],
        ["/fails", 429, '"api";r=0']
      ])
      expect(yield* answers(limit(hello), ["/fails", "/nowhere", "/", "/nowhere"])).toEqual([
        ["/fails", 500, '"api";r=2'],
        ["/nowhere", 404, '"api";r=1'],
        ["/", 200, '"api";r=0'],
        ["/nowhere", 429, '"api";r=0']
      ])
    }).pipe(Effect.provide(services))
  )

  it.scoped("says so where it is the middleware of the server, which answers before it is back", () =>
    Effect.gen(function* () {
      const limit = RateLimit.middleware({ name: "api", maxRequests: 1, interval: "1 minute" })
      const port = yield* listening(HttpServer.serveEffect(hello, limit))
      expect(fields(yield* got(port))).toEqual(['"api";q=1;w=60', '"api";r=0;t=60'])
      const refused = yield* got(port)
      expect([refused.status, ...fields(refused)]).toEqual([429, '"api";q=1;w=60', '"api";r=0;t=60'])
    }).pipe(Effect.provide(services))
  )

  it.scoped("takes from several limits at once, and from none where one refuses", () =>
    Effect.gen(function* () {
      const limits = RateLimit.middleware([
        { name: "burst", maxRequests: 1, interval: "1 second", key: () => "all" },
        { name: "daily", maxRequests: 10, interval: "1 day", key: RateLimit.byHeader("X-User-Id") }
      ])
      const port = yield* serving(HttpRouter.use(hello, limits))
      const ada = ["X-User-Id: ada"]
      expect(fields(yield* got(port, "/", ada))).toEqual([
        '"burst";q=1;w=1, "daily";q=10;w=86400',
        '"burst";r=0;t=1, "daily";r=9;t=86400'
      ])
      expect(fields(yield* got(port, "/", ada))).toEqual(['"burst";q=1;w=1', '"burst";r=0;t=1'])
      yield* TestClock.adjust("1 second")
      expect((yield* got(port, "/", ada)).headers.ratelimit).toBe('"burst";r=0;t=1, "daily";r=8;t=86400')
      expect((yield* RateLimiter.peek({ name: "daily", key: "bob" })).remaining).toBe(10)
    }).pipe(Effect.provide(services))
  )

  it.scoped("says of two limits of one name how the one stands that is nearer to its end", () =>
    Effect.gen(function* () {
      const policy = { name: "api", maxRequests: 5, interval: "1 minute" } as const
      const limits = RateLimit.middleware([
        { ...policy, key: () => "one" },
        { ...policy, key: () => "other", cost: 3 }
      ])
      const port = yield* serving(HttpRouter.use(hello, limits))
      expect(fields(yield* got(port))).toEqual(['"api";q=5;w=60', '"api";r=2;t=60'])
    }).pipe(Effect.provide(services))
  )

  it.scoped("adds to what a middleware around it has said, and tells quotas apart by a hash where asked to", () =>
    Effect.gen(function* () {
      const outer = RateLimit.middleware({ name: "all", maxRequests: 9, interval: "1 minute" })
      const inner = RateLimit.middleware(
        { name: "user", maxRequests: 5, interval: "1 minute", key: RateLimit.byHeader("x-api-key") },
        { partitionKey: true }
      )
      const port = yield* serving(hello.pipe(HttpRouter.use(inner), HttpRouter.use(outer)))
      const one = yield* got(port, "/", ["X-Api-Key: hunter2"])
      const same = yield* got(port, "/", ["X-Api-Key: hunter2"])
      const other = yield* got(port, "/", ["X-Api-Key: hunter3"])
      expect(one.headers.ratelimit).toMatch(/^"all";r=8;t=60, "user";r=4;t=60;pk=:[\w+/]{12}:$/)
      const partition = (answer: typeof one) => /pk=:(.*?):/.exec(answer.headers["ratelimit-policy"] ?? "")?.[1]
      expect(partition(same)).toBe(partition(one))
      expect(partition(other)).not.toBe(partition(one))
      expect(one.raw).not.toContain("hunter2")
    }).pipe(Effect.provide(services))
  )

  it.scoped("reads policies in force from where the limiter has them, not from its options", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make({
        policies: { revision: () => 1, get: () => ({ maxRequests: 7 }) }
      })
      const limit = RateLimit.middleware({ name: "api", maxRequests: 2, interval: "1 minute" })
      const port = yield* serving(HttpRouter.use(hello, limit)).pipe(Effect.provideService(RateLimiter, limiter))
      expect(fields(yield* got(port))).toEqual(['"api";q=7;w=60', '"api";r=6;t=60'])
    }).pipe(Effect.provide(services))
  )

  it.scoped("answers 503 with a problem where the limiter's store does not answer, and says nothing of the store", () =>
    Effect.gen(function* () {
      const refusing = Effect.fail(
        new StoreUnavailable({ component: "rate_limiter", message: "redis://limits:hunter2@10.0.0.1 is away" })
      )
      const limiter = yield* RateLimiter.make({
        backend: { take: () => refusing, peek: () => refusing, reset: () => refusing }
      })
      const limit = RateLimit.middleware({ name: "api" })
      const port = yield* serving(HttpRouter.use(hello, limit)).pipe(Effect.provideService(RateLimiter, limiter))
      const answer = yield* got(port)
      expect([answer.status, JSON.parse(answer.body).code]).toEqual([503, "store_unavailable"])
      expect(answer.raw).not.toMatch(/redis|hunter2|10\.0/)
    }).pipe(Effect.provide(services))
  )

  it.scoped("answers as told, with the status and the fields all the same", () =>
    Effect.gen(function* () {
      const limit = RateLimit.middleware(
        { name: "api", maxRequests: 1, key: () => undefined },
        { refuse: ({ limiter }) => HttpServerResponse.text(`slow down (${limiter})`) }
      )
      const port = yield* serving(HttpRouter.use(hello, limit))
      yield* got(port)
      const { body, headers, status } = yield* got(port)
      expect([status, body, headers["retry-after"], headers.ratelimit]).toEqual([
        429,
        "slow down (api)",
        "60",
        '"api";r=0;t=60'
      ])
    }).pipe(Effect.provide(services))
  )

  it.scoped("holds to its limit under concurrent requests", () =>
    Effect.gen(function* () {
      const limit = RateLimit.middleware({ name: "api", maxRequests: 7, interval: "1 minute" })
      const port = yield* serving(HttpRouter.use(hello, limit))
      const answers = yield* Effect.all(
        Array.from({ length: 30 }, () => got(port)),
        { concurrency: "unbounded" }
      )
      const counts = [200, 429].map((status) => answers.filter((answer) => answer.status === status).length)
      expect(counts).toEqual([7, 23])
      expect(answers.filter(({ headers }) => headers.ratelimit === undefined)).toEqual([])
    }).pipe(Effect.provide(services))
  )

  it("throws where it is made, if an option is invalid", () => {
    expect(() => RateLimit.middleware({ name: "api", maxRequests: 0 })).toThrow(ConfigError)
    expect(() => RateLimit.middleware([{ name: "a" }, { name: "b", interval: "soon" as "1 second" }])).toThrow(
      ConfigError
    )
    expect(() => RateLimit.byAddress({ trustedProxies: ["10.0.0.0/40"] })).toThrow(ConfigError)
  })

  it.scoped("lets those who wait go on waiting, and those go whose client is gone", () =>
    Effect.gen(function* () {
      const limit = RateLimit.middleware({
        name: "api",
        maxRequests: 1,
        interval: "1 minute",
        onExceeded: "wait",
        maxWait: "1 hour"
      })
      const port = yield* serving(limit(hello))
      expect((yield* got(port)).status).toBe(200)
      const waiting = () =>
        RateLimiter.peek({ name: "api", key: "127.0.0.1" }).pipe(
          Effect.map(({ retryAfter }) => Duration.toMinutes(retryAfter)),
          Effect.tap(() => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5))))
        )
      const gone = yield* Effect.fork(got(port))
      yield* Effect.repeat(waiting(), { until: (minutes) => minutes === 2 })
      const stays = yield* Effect.fork(got(port))
      yield* Effect.repeat(waiting(), { until: (minutes) => minutes === 3 })
      yield* Fiber.interrupt(gone)
      yield* Effect.repeat(waiting(), { until: (minutes) => minutes === 2 })
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(stays)).status).toBe(200)
    }).pipe(Effect.provide(services))
  )
})

describe("whom a request counts for", () => {
  const limit = { name: "api", maxRequests: 1, interval: "1 minute" } as const

  it.scoped("is not what it claims in a header, where no proxy is trusted", () =>
    Effect.gen(function* () {
      const port = yield* serving(HttpRouter.use(hello, RateLimit.middleware(limit)))
      const statuses = yield* Effect.forEach(["1.1.1.1", "2.2.2.2", "3.3.3.3"], (address) =>
        Effect.map(
          got(port, "/", [`X-Forwarded-For: ${address}`, `Forwarded: for=${address}`, `X-Real-IP: ${address}`]),
          ({ status }) => status
        )
      )
      expect(statuses).toEqual([200, 429, 429])
    }).pipe(Effect.provide(services))
  )

  it.scoped("is what the trusted proxy saw, whatever the client wrote before it", () =>
    Effect.gen(function* () {
      const key = RateLimit.byAddress({ trustedProxies: ["127.0.0.0/8"] })
      const port = yield* serving(HttpRouter.use(hello, RateLimit.middleware({ ...limit, key })))
      const from = (...lines: ReadonlyArray<string>) => Effect.map(got(port, "/", lines), ({ status }) => status)
      expect(yield* from("X-Forwarded-For: 203.0.113.9")).toBe(200)
      expect(yield* from("X-Forwarded-For: 9.9.9.9, 203.0.113.9")).toBe(429)
      // A header twice is one header.
      expect(yield* from("X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 203.0.113.9:4711")).toBe(429)
      expect(yield* from("X-Forwarded-For: 203.0.113.9, unknown")).toBe(200) // the proxy itself
      expect(yield* from("X-Forwarded-For: \xff\xfe")).toBe(429)
      // One network of a customer is one.
      expect(yield* from("X-Forwarded-For: 2001:db8:1:2::1")).toBe(200)
      expect(yield* from("X-Forwarded-For: 2001:db8:1:2:ffff::9")).toBe(429)
      expect(yield* from("X-Forwarded-For: 2001:db8:1:3::1")).toBe(200)
    }).pipe(Effect.provide(services))
  )

  it.scoped("may be the first of several, and none of one is taken for another's", () =>
    Effect.gen(function* () {
      const key = RateLimit.firstOf({ user: RateLimit.byHeader("x-user"), address: RateLimit.byAddress() })
      const port = yield* serving(HttpRouter.use(hello, RateLimit.middleware({ ...limit, key })))
      expect((yield* got(port, "/", ["X-User: 127.0.0.1"])).status).toBe(200)
      expect((yield* got(port)).status).toBe(200)
      expect((yield* got(port)).status).toBe(429)
      expect((yield* RateLimiter.peek({ name: "api", key: "user=127.0.0.1" })).remaining).toBe(0)
    }).pipe(Effect.provide(services))
  )

  it.scoped("is bounded in length, and one for all who have none", () =>
    Effect.gen(function* () {
      const key = ({ headers }: HttpServerRequest.HttpServerRequest) => headers["x-user"]
      const port = yield* serving(HttpRouter.use(hello, RateLimit.middleware({ ...limit, key })))
      const long = "a".repeat(6000)
      expect((yield* got(port, "/", [`X-User: ${long}`])).status).toBe(200)
      expect((yield* got(port, "/", [`X-User: ${long}`])).status).toBe(429)
      expect((yield* got(port, "/", [`X-User: ${long}b`])).status).toBe(200)
      expect((yield* got(port)).status).toBe(200)
      expect((yield* got(port)).status).toBe(429)
    }).pipe(Effect.provide(services))
  )

  class User extends Context.Tag("test/User")<User, string>() {}

  it.scoped("may take an effect to find out, which may fail and need services", () =>
    Effect.gen(function* () {
      const key = ({ headers }: HttpServerRequest.HttpServerRequest) =>
        headers["x-deny"] === undefined ? Effect.map(User, (user) => user) : Effect.fail("denied" as const)
      const app = HttpRouter.use(hello, RateLimit.middleware({ ...limit, key })).pipe(
        HttpRouter.catchAll((error) => HttpServerResponse.text(String(error), { status: 403 })),
        Effect.provideService(User, "ada")
      )
      const port = yield* serving(app)
      expect((yield* got(port)).status).toBe(200)
      expect((yield* got(port, "/", ["X-Deny: 1"])).status).toBe(403)
      expect((yield* RateLimiter.peek({ name: "api", key: "ada" })).remaining).toBe(0)
    }).pipe(Effect.provide(services))
  )
})

describe("RateLimit.make", () => {
  it.scoped("limits the routes of an HttpLayerRouter, and those only", () =>
    Effect.gen(function* () {
      const limit = RateLimit.make({ name: "api", maxRequests: 1, interval: "1 minute" })
      const routes = Layer.mergeAll(
        HttpLayerRouter.add("GET", "/limited", HttpServerResponse.text("hello")).pipe(
          Layer.provide(HttpLayerRouter.middleware(limit).layer)
        ),
        HttpLayerRouter.add("GET", "/free", HttpServerResponse.text("hello"))
      )
      const app = yield* HttpLayerRouter.toHttpEffect(routes)
      const port = yield* serving(app)
      const statuses = yield* Effect.forEach(["/limited", "/limited", "/free", "/free"], (path) =>
        Effect.map(got(port, path), ({ headers, status }) => [status, headers.ratelimit !== undefined])
      )
      expect(statuses).toEqual([
        [200, true],
        [429, true],
        [200, false],
        [200, false]
      ])
    }).pipe(Effect.provide(services))
  )

  it.scoped("limits all routes where it is global", () =>
    Effect.gen(function* () {
      const limit = RateLimit.make({ name: "api", maxRequests: 1, interval: "1 minute" })
      const routes = HttpLayerRouter.add("GET", "/", HttpServerResponse.text("hello")).pipe(
        Layer.provide(HttpLayerRouter.middleware(limit, { global: true })),
        Layer.provide(HttpLayerRouter.middleware(HttpCorrelationId.middleware(), { global: true }))
      )
      const port = yield* serving(yield* HttpLayerRouter.toHttpEffect(routes))
      expect((yield* got(port)).status).toBe(200)
      expect((yield* got(port)).status).toBe(429)
    }).pipe(Effect.provide(services))
  )
})
