import { HttpRouter, HttpServer, HttpServerResponse } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, FiberRef, HashMap, Logger, Option } from "effect"
import { CorrelationId, Events } from "effect-foundation"
import * as HttpCorrelationId from "effect-foundation/Http/CorrelationId"
import * as Problem from "effect-foundation/Http/Problem"
import { FoundationTest } from "effect-foundation/Testing"
import { got, listening, sent, serving } from "./server.js"

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
const traceparent = `traceparent: 00-${trace}-00f067aa0ba902b7-01`
const isMade = /^[0-9a-f]{8}-[0-9a-f-]{27}$|^[0-9a-f]{32}$/

/** Answers the id in force and the trace id of the span. */
const router = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/",
    Effect.gen(function* () {
      const id = yield* CorrelationId.current
      const span = yield* Effect.option(Effect.currentSpan)
      const forked = yield* Effect.flatMap(Effect.fork(CorrelationId.current), (fiber) => fiber.await)
      const logged = HashMap.get(yield* FiberRef.get(FiberRef.currentLogAnnotations), "correlationId")
      return HttpServerResponse.unsafeJson({
        id,
        trace: Option.getOrUndefined(Option.map(span, ({ traceId }) => traceId)),
        attribute: Option.getOrUndefined(Option.map(span, ({ attributes }) => attributes.get("correlation.id"))),
        same: forked._tag === "Success" && forked.value === id && Option.getOrUndefined(logged) === id
      })
    })
  ),
  HttpRouter.get("/fails", Effect.fail("own")),
  HttpRouter.get("/dies", Effect.die("bug"))
)

const asked = (port: number, headers: ReadonlyArray<string>) =>
  Effect.map(got(port, "/", headers), (answer) => {
    const body = JSON.parse(answer.body)
    expect(answer.headers["x-correlation-id"]).toBe(body.id)
    expect(body.same).toBe(true)
    return { ...body, raw: answer.raw }
  })

const app = HttpCorrelationId.middleware()(router)

describe("the correlation id of a request", () => {
  it.scoped("is that of x-correlation-id, and the span says so", () =>
    Effect.gen(function* () {
      const port = yield* serving(app)
      expect(yield* asked(port, ["X-Correlation-Id: order-42"])).toMatchObject({
        id: "order-42",
        attribute: "order-42"
      })
      expect(yield* asked(port, ["X-Correlation-Id: order-42", traceparent])).toMatchObject({ id: "order-42", trace })
    })
  )

  it.scoped(
    "is the trace id of traceparent, which is that of the span, where there is no other, or where told so",
    () =>
      Effect.gen(function* () {
        const port = yield* serving(app)
        expect(yield* asked(port, [traceparent])).toMatchObject({ id: trace, trace })
        const strict = yield* serving(HttpCorrelationId.middleware({ prefer: "traceparent" })(router))
        expect(yield* asked(strict, ["X-Correlation-Id: order-42", traceparent])).toMatchObject({ id: trace, trace })
        expect(yield* asked(strict, ["X-Correlation-Id: order-42"])).toMatchObject({ id: "order-42" })
      })
  )

  it.scoped("is the trace id of the span where the request has none, and is made where there is no trace", () =>
    Effect.gen(function* () {
      const port = yield* serving(app)
      const traced = yield* asked(port, [])
      expect(traced.id).toBe(traced.trace)
      const untraced = yield* serving(app).pipe(Effect.withTracerEnabled(false))
      const ids = yield* Effect.forEach([1, 2, 3], () => asked(untraced, []))
      expect(new Set(ids.map(({ id }) => id)).size).toBe(3)
    })
  )

  it.scoped.each([
    ["X-Correlation-Id: "],
    ["X-Correlation-Id: with space"],
    ["X-Correlation-Id: \xe4\xf6"],
    [`X-Correlation-Id: ${"a".repeat(129)}`],
    ["X-Correlation-Id: one", "X-Correlation-Id: two"],
    ["X-Correlation-Id: a,b"],
    ["X-Correlation-Id: a\tSet-Cookie:x"],
    ["traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
    [`traceparent: 00-${trace.toUpperCase()}-00f067aa0ba902b7-01`],
    ["traceparent: garbage"],
    // The tracer takes these for trace ids as they are.
    ["b3: evil<script>-00f067aa0ba902b7-1"],
    [`x-b3-traceid: ${"x".repeat(200)}`, "x-b3-spanid: y"]
  ])("is made where the client sends %j", (headers) =>
    Effect.gen(function* () {
      const port = yield* serving(app)
      const { id, raw } = yield* asked(port, headers)
      expect(id).toMatch(isMade)
      expect(raw.split("\r\n\r\n")[0]).not.toMatch(/evil|with space|Set-Cookie|x{20}/)
      if (headers[0]?.includes("0000000")) expect(id).not.toMatch(/^0+$/)
    })
  )

  it.scoped("is not to be split into headers: the server refuses control characters before all else", () =>
    Effect.gen(function* () {
      const port = yield* serving(app)
      const answer = yield* sent(port, ["GET / HTTP/1.1", "Host: test", "X-Correlation-Id: a\rSet-Cookie: evil=1"])
      expect(answer.raw.toLowerCase()).not.toContain("set-cookie")
    })
  )

  it.scoped("is told on failures too, around routes and as the middleware of the server", () =>
    Effect.gen(function* () {
      const ports = [
        yield* serving(router.pipe(HttpRouter.use(HttpCorrelationId.middleware()))),
        yield* listening(HttpServer.serveEffect(router, HttpCorrelationId.middleware())),
        yield* serving(HttpCorrelationId.middleware()(Problem.middleware({ unknown: true })(router)))
      ]
      for (const port of ports) {
        for (const [path, status] of [
          ["/", 200],
          ["/fails", 500],
          ["/dies", 500]
        ] as const) {
          const answer = yield* got(port, path, ["X-Correlation-Id: order-42"])
          expect([answer.status, answer.headers["x-correlation-id"]]).toEqual([status, "order-42"])
        }
      }
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )

  it.scoped("is that of the events that are stored for it, of its errors, and of their problems", () =>
    Effect.gen(function* () {
      const store = HttpRouter.empty.pipe(
        HttpRouter.post("/", Effect.as(Events.store({ type: "order_placed" }), HttpServerResponse.empty())),
        HttpRouter.post("/bad", Effect.as(Events.store({ type: "" }), HttpServerResponse.empty())),
        HttpRouter.use(Problem.middleware()),
        HttpRouter.use(HttpCorrelationId.middleware({ header: "X-Request-Id" }))
      )
      const port = yield* serving(store)
      const post = (path: string) =>
        sent(port, [`POST ${path} HTTP/1.1`, "Host: test", "X-Request-Id: r-1", "Content-Length: 0"])
      expect((yield* post("/")).headers["x-request-id"]).toBe("r-1")
      const problem = yield* post("/bad")
      expect([problem.status, JSON.parse(problem.body).correlationId, problem.headers["x-request-id"]]).toEqual([
        400,
        "r-1",
        "r-1"
      ])
      expect((yield* Events.get()).map(({ correlationId }) => correlationId)).toEqual(["r-1"])
    }).pipe(Effect.provide(FoundationTest))
  )
})
