import { HttpLayerRouter, HttpRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Logger, LogLevel, Schema } from "effect"
import {
  AlreadyRegistered,
  CircuitOpen,
  ConfigError,
  CorrelationId,
  EventError,
  FoundationError,
  OperationTimeout,
  RateLimited,
  RegistryError,
  ServiceNotFound,
  StoreUnavailable,
  VersionConflict
} from "effect-foundation"
import * as Problem from "effect-foundation/Http/Problem"
import { got, serving } from "./server.js"

/** What must not go out: each error has it where a careless program would put it. */
const secret = "hunter2"
const hidden = {
  cause: new Error(`password=${secret}`),
  context: { password: secret, dsn: `postgres://app:${secret}@db/app`, file: "/etc/app.yaml" },
  correlationId: "req-1"
}
/** Messages of what is behind the service. */
const inner = { ...hidden, message: `postgres://app:${secret}@10.0.0.5/app, /etc/app.yaml, circuit "payments"` }
/** Messages that a client may read, since it can mend what they say. */
const outer = { ...hidden, message: "The id belongs to an event of other content" }

const seconds = Duration.seconds
const errors: ReadonlyArray<readonly [error: FoundationError, status: number, retryAfter?: number]> = [
  [new ConfigError({ reason: "invalid_key", ...inner }), 500],
  [new ConfigError({ reason: "invalid_value", ...inner }), 500],
  [new ConfigError({ reason: "read_only", ...inner }), 500],
  [new ConfigError({ reason: "conflict", ...inner }), 409],
  [new ConfigError({ reason: "source_unavailable", ...inner }), 503],
  [new EventError({ reason: "invalid_event", ...outer }), 400],
  [new EventError({ reason: "invalid_criteria", ...outer }), 400],
  [new EventError({ reason: "invalid_consumer", ...inner }), 500],
  [new EventError({ reason: "duplicate_event", ...outer }), 409],
  [new EventError({ reason: "storage_full", ...inner }), 507],
  [new EventError({ reason: "storage_unavailable", ...inner }), 503],
  [new VersionConflict({ stream: "s", expected: 1, actual: 2, ...outer }), 409],
  [new AlreadyRegistered({ service: "auth", holder: { password: secret }, ...outer }), 409],
  [new ServiceNotFound({ service: "auth", ...outer }), 404],
  [new RegistryError({ reason: "invalid_name", ...outer }), 400],
  [new RegistryError({ reason: "invalid_process", ...outer }), 400],
  [new RegistryError({ reason: "invalid_metadata", ...outer }), 400],
  [new RegistryError({ reason: "registry_full", ...inner }), 507],
  [new RegistryError({ reason: "storage_unavailable", ...inner }), 503],
  [new RegistryError({ reason: "stale", ...inner }), 503],
  [new CircuitOpen({ circuit: "payments", state: "open", retryAfter: Duration.millis(1001), ...inner }), 503, 2],
  [new OperationTimeout({ circuit: "payments", timeout: seconds(5), ...inner }), 504],
  [
    new RateLimited({
      limiter: "api",
      key: secret,
      limit: 5,
      interval: seconds(60),
      retryAfter: seconds(30),
      ...hidden,
      message: `Limit "api" for "${secret}"`
    }),
    429,
    30
  ],
  [new StoreUnavailable({ component: "rate_limiter", ...inner }), 503]
]

const nameOf = (error: FoundationError) => ("reason" in error ? `${error._tag} ${error.reason}` : error._tag)

describe("a problem", () => {
  it("is known for each tag and each reason", () => {
    const tags = new Set(errors.map(([error]) => error._tag))
    expect([...tags].sort()).toEqual(FoundationError.members.map(({ _tag }) => _tag).sort())
    const reasons = (tag: string) =>
      errors.flatMap(([error]) => (error._tag === tag && "reason" in error ? [error.reason] : []))
    expect(reasons("ConfigError").sort()).toEqual([...ConfigError.fields.reason.literals].sort())
    expect(reasons("EventError").sort()).toEqual([...EventError.fields.reason.literals].sort())
    expect(reasons("RegistryError").sort()).toEqual([...RegistryError.fields.reason.literals].sort())
  })

  it.each(errors.map(([error, status, retryAfter]) => [nameOf(error), status, retryAfter, error] as const))(
    "of %s has the status %i, and nothing in it that is nobody's business",
    (_, status, retryAfter, error) => {
      const response = Problem.response(error)
      expect(response.status).toBe(status)
      expect(response.headers["retry-after"]).toBe(retryAfter?.toString())
      const problem = Problem.details(error, { types: "https://errors.example.com/" })
      expect(Schema.is(Problem.Details)(problem)).toBe(true)
      expect(problem).toMatchObject({ status, code: error.code, correlationId: "req-1" })
      expect(problem.type).toMatch(new RegExp(`^https://errors\\.example\\.com/${error.code}(/\\w+)?$`))
      expect(problem.title).toMatch(/^[A-Z][a-z ]+$/)
      expect(problem.detail).toBeTruthy()
      expect(problem.retryAfter).toBe(retryAfter)
      expect(JSON.stringify(problem)).not.toMatch(/hunter2|postgres|\/etc|payments|10\.0\.0|stack|cause|context|Error:/)
      expect(status < 500 && problem.detail === error.message).toBe(status < 500 && error.message === outer.message)
    }
  )

  it("leaves out a message that looks as if it holds a credential, and is told otherwise only by option", () => {
    const error = new EventError({ reason: "invalid_event", message: `"data" has password: ${secret}` })
    expect(Problem.details(error).detail).toBeUndefined()
    expect(Problem.details(error, { detail: ({ message }) => message }).detail).toBe(error.message)
    expect(Problem.details(error, { detail: () => undefined }).detail).toBeUndefined()
    const long = new EventError({ reason: "invalid_event", message: "x y ".repeat(2000) })
    expect(Problem.details(long).detail?.length).toBe(1024)
  })
})

const app = HttpRouter.empty.pipe(
  HttpRouter.get("/duplicate", Effect.fail(new EventError({ reason: "duplicate_event", ...outer }))),
  HttpRouter.get("/misconfigured", Effect.fail(new ConfigError({ reason: "invalid_value", ...inner }))),
  HttpRouter.get("/own", Effect.fail("own")),
  HttpRouter.get("/dies", Effect.die(new Error(`password=${secret}`))),
  HttpRouter.get("/denied", Effect.die(HttpServerResponse.text("go away", { status: 403 }))),
  HttpRouter.get(
    "/auth",
    Effect.die(HttpServerResponse.empty({ status: 401, headers: { "www-authenticate": "Basic" } }))
  ),
  HttpRouter.get("/parse", Schema.decodeUnknown(Schema.Number)("x").pipe(Effect.as(HttpServerResponse.empty()))),
  HttpRouter.get("/fine", HttpServerResponse.text("fine"))
)

const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (LogLevel.greaterThanEqual(logLevel, LogLevel.Error)) lines.push(`${message} ${cause}`)
  })
  return { lines, layer: Logger.replace(Logger.defaultLogger, logger) }
}

const asked = (port: number, path: string) =>
  Effect.map(got(port, path, ["Accept: text/html"]), ({ body, headers, raw, status }) => {
    expect(raw).not.toMatch(/hunter2|\bat .*:\d+/)
    const isProblem = headers["content-type"] === Problem.contentType
    return [path, status, isProblem ? Schema.decodeUnknownSync(Problem.Details)(JSON.parse(body)).code : body]
  })

describe("Problem.middleware", () => {
  it.scoped("answers FoundationErrors, and leaves all else to others", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const port = yield* serving(app.pipe(HttpRouter.use(Problem.middleware())))
      expect(
        yield* Effect.forEach(["/duplicate", "/misconfigured", "/own", "/denied", "/fine"], (path) => asked(port, path))
      ).toEqual([
        ["/duplicate", 409, "event_error"],
        ["/misconfigured", 500, "config_error"],
        ["/own", 500, ""],
        ["/denied", 403, "go away"],
        ["/fine", 200, "fine"]
      ])
      // Who runs the service learns what the client does not.
      expect(lines.filter((line) => line.startsWith("A request was answered with 500"))).toHaveLength(1)
    }).pipe(Effect.provide(layer))
  })

  it.scoped("answers everything with a problem where told so, and logs what it hides", () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const all = Problem.middleware({ unknown: true, instance: ({ url }) => url })(app)
      const port = yield* serving(all)
      const paths = ["/duplicate", "/own", "/dies", "/denied", "/auth", "/parse", "/nowhere", "/fine"]
      expect(yield* Effect.forEach(paths, (path) => asked(port, path))).toEqual([
        ["/duplicate", 409, "event_error"],
        ["/own", 500, "internal_error"],
        ["/dies", 500, "internal_error"],
        ["/denied", 403, "go away"],
        ["/auth", 401, "http_401"],
        ["/parse", 400, "http_400"],
        ["/nowhere", 404, "http_404"],
        ["/fine", 200, "fine"]
      ])
      expect((yield* got(port, "/auth")).headers["www-authenticate"]).toBe("Basic")
      expect(JSON.parse((yield* got(port, "/duplicate")).body).instance).toBe("/duplicate")
      expect((yield* got(port, "/dies")).headers["cache-control"]).toBe("no-store")
      expect(lines.filter((line) => line.includes(secret)).length).toBeGreaterThanOrEqual(1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("lets interruption be", () =>
    Effect.gen(function* () {
      const request = HttpServerRequest.fromWeb(new Request("http://localhost/"))
      const exit = yield* Effect.exit(Problem.middleware({ unknown: true })(Effect.interrupt)).pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, request)
      )
      expect(Exit.isInterrupted(exit)).toBe(true)
    })
  )

  it.scoped("takes the correlation id of the request", () =>
    Effect.gen(function* () {
      const all = Problem.middleware({ unknown: true })(app).pipe(CorrelationId.with("req-9"))
      const port = yield* serving(all)
      expect(JSON.parse((yield* got(port, "/dies")).body).correlationId).toBe("req-9")
      // An error has the id of where it arose.
      expect(JSON.parse((yield* got(port, "/duplicate")).body).correlationId).toBe("req-1")
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

  it.scoped("serves HttpLayerRouter", () =>
    Effect.gen(function* () {
      const problems = HttpLayerRouter.middleware<{ handles: FoundationError }>()(Problem.middleware()).layer
      const routes = HttpLayerRouter.add(
        "GET",
        "/",
        Effect.fail(new ServiceNotFound({ service: "auth", ...outer }))
      ).pipe(Layer.provide(problems))
      const port = yield* serving(yield* HttpLayerRouter.toHttpEffect(routes))
      expect(yield* asked(port, "/")).toEqual(["/", 404, "not_found"])
    })
  )
})
