import type { ServerResponse } from "node:http"
import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Fiber, Layer, Logger, LogLevel, Metric, type MetricState } from "effect"
import { Telemetry } from "effect-foundation"
import * as Otlp from "effect-foundation/Telemetry/Otlp"
import * as fc from "fast-check"
import { freePort } from "../../examples/servers/freePort.js"
import { verdictOf, waitAfter } from "../../src/Telemetry/Otlp/Answer.js"
import { type Batch, Queue } from "../../src/Telemetry/Otlp/Queue.js"
import * as Sender from "../../src/Telemetry/Otlp/Sender.js"
import { attributes, logsOf, spansOf, startReceiver, taken } from "../support/otlp.js"

const nothing = () => {}
const status =
  (code: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse) =>
    void response.writeHead(code, headers).end()

/** What the sender's own counter says of a signal, since the last reading. */
const counted = (signal: Otlp.Signal, outcome: "taken" | "refused" | "dropped") => {
  const counter = Metric.counter("telemetry_export_batches", {
    incremental: true,
    description: "Batches for the OpenTelemetry receiver, by what became of them"
  }).pipe(Metric.tagged("signal", signal), Metric.tagged("outcome", outcome))
  const read = Effect.map(Metric.value(counter), (state: MetricState.MetricState.Counter<number>) => state.count)
  return Effect.map(read, (before) => Effect.map(read, (now) => now - before))
}

const logged = () => {
  const lines: Array<string> = []
  const layer = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => {
      const text = [message].flat().filter((part) => typeof part === "string")
      if (LogLevel.greaterThanEqual(logLevel, LogLevel.Info)) lines.push(`${logLevel.label} ${text.join(" ")}`)
    })
  )
  return { lines, layer }
}

const liveTo = (
  port: number,
  options: Partial<Otlp.Options> = {},
  client: Layer.Layer<HttpClient.HttpClient> = FetchHttpClient.layer
) =>
  Otlp.layer({
    endpoint: `http://127.0.0.1:${port}`,
    resource: { serviceName: "orders" },
    shutdownTimeout: "500 millis",
    ...options
  }).pipe(Layer.provide(client), Layer.provideMerge(Telemetry.layer), Layer.provideMerge(logged().layer))

const batchOf = (text: string, bytes = 0): Batch => ({
  // A log record with this text, as Protobuf: what the receiver decodes.
  body: Buffer.concat([Buffer.from(text), Buffer.alloc(bytes)]),
  contentType: "application/x-protobuf"
})

describe("what waits for the receiver", () => {
  it("is bounded in bytes whatever comes, keeps its order, and loses the oldest", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 60 })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 100 }), (sizes, maxBytes) => {
        const queue = new Queue(maxBytes)
        const model: Array<Batch> = []
        for (const size of sizes) {
          const batch = batchOf("", size)
          const before = model.length
          let bytes = model.reduce((sum, { body }) => sum + body.length, size)
          if (size <= maxBytes) {
            for (; bytes > maxBytes; bytes -= model.shift()?.body.length ?? 0);
            model.push(batch)
          }
          expect(queue.add(batch)).toBe(before + 1 - model.length)
          expect(queue.first(0)).toEqual(model.slice(0, 1))
          expect(queue.bytes).toBeLessThanOrEqual(maxBytes)
          expect(queue.length).toBe(model.length)
          if (model.length > 3) {
            const together = queue.first(50)
            expect(together).toEqual(model.splice(0, together.length))
            expect(together.reduce((sum, { body }) => sum + body.length, 0) <= 50 || together.length === 1).toBe(true)
            queue.remove(together)
          }
          expect(queue.bytes).toBe(model.reduce((sum, { body }) => sum + body.length, 0))
        }
      })
    )
  })

  it("is tried again after the answers that OTLP names, and after no other", () => {
    const later = Array.from({ length: 500 }, (_, index) => index + 100).filter((code) => verdictOf(code) === "later")
    expect(later).toEqual([429, 502, 503, 504])
    expect([200, 202, 299, 301, 400, 401, 500].map(verdictOf)).toEqual([
      ...["taken", "taken", "taken"],
      ...["refused", "refused", "refused", "refused"]
    ])
  })

  it("waits as long as it is asked to, within bounds, or longer each time", () => {
    expect([1, 2, 3, 6, 1000].map((failures) => waitAfter(failures, undefined))).toEqual([
      1000, 2000, 4000, 30_000, 30_000
    ])
    expect(
      ["7", " 0 ", "999999999", "-1", "1e9", "Fri, 31 Dec 1999 23:59:59 GMT"].map((asked) => waitAfter(1, asked))
    ).toEqual([7000, 100, 30_000, 1000, 1000, 1000])
  })
})

/** Much to send: some megabytes. */
const work = Effect.gen(function* () {
  yield* Effect.repeatN(Effect.withSpan(Effect.void, "work", { attributes: { text: "x".repeat(1000) } }), 4999)
  yield* Effect.repeatN(Effect.logDebug("y".repeat(1000)), 4999)
}).pipe(Logger.withMinimumLogLevel(LogLevel.Debug))

describe("a receiver", () => {
  const clients = { fetch: FetchHttpClient.layer, node: NodeHttpClient.layer, undici: NodeHttpClient.layerUndici }
  for (const [name, client] of Object.entries(clients)) {
    it.scopedLive(`that never answers has one request of each signal, and the end does not wait for it (${name})`, () =>
      Effect.gen(function* () {
        const receiver = yield* startReceiver()
        receiver.answer(nothing)
        const dropped = yield* counted("traces", "dropped")
        const live = liveTo(
          receiver.port,
          { maxBytes: 100_000, interval: "20 millis", metricsInterval: "20 millis" },
          client
        )
        const [took] = yield* Effect.timed(
          Effect.provide(Effect.zipRight(work, Effect.sleep("200 millis")), live).pipe(Effect.timeout("20 seconds"))
        )
        expect(receiver.requests().mostOpen).toBeLessThanOrEqual(3)
        expect(receiver.requests().all).toBeLessThanOrEqual(3)
        expect(yield* dropped).toBeGreaterThan(10)
        expect(Duration.toSeconds(took)).toBeLessThan(20)
      })
    )
  }

  it.scopedLive("that never answers is given up after the timeout, and gets it again when it does", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      receiver.answer(nothing)
      const { layer, lines } = logged()
      const live = liveTo(receiver.port, { timeout: "100 millis", signals: ["traces"], interval: "10 millis" })
      yield* Effect.gen(function* () {
        yield* Effect.withSpan(Effect.void, "held")
        yield* receiver.nextOf("/v1/traces")
        receiver.answer(taken)
        const again = yield* receiver.nextOf("/v1/traces")
        expect(spansOf(again)[0].name).toBe("held")
        yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => lines.length === 2 })
      }).pipe(Effect.provide(Layer.provideMerge(live, layer)))
      expect(lines).toEqual([
        expect.stringMatching(
          /^WARN .*127\.0\.0\.1:\d+ does not take traces: it did not answer within 100ms; it is tried again$/
        ),
        expect.stringMatching(/^INFO .* takes traces$/)
      ])
    })
  )

  it.scopedLive("that is not there costs nothing but what waits, is spoken of once, and gets it when it comes", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const { layer, lines } = logged()
      const live = liveTo(port, { signals: ["traces"], interval: "10 millis", maxBatch: 10 })
      yield* Effect.gen(function* () {
        yield* Effect.repeatN(Effect.withSpan(Effect.void, "early"), 99)
        yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => lines.length > 0 })
        yield* Effect.repeatN(Effect.withSpan(Effect.void, "later"), 99)
        const receiver = yield* startReceiver(port)
        let [early, later] = [0, 0]
        while (early < 100 || later < 100) {
          for (const { name } of spansOf(yield* receiver.nextOf("/v1/traces"))) {
            if (name === "early") early++
            else later++
            // In order: the older first.
            if (later > 0) expect(early).toBe(100)
          }
        }
        expect([early, later]).toEqual([100, 100])
      }).pipe(Effect.provide(Layer.provideMerge(live, layer)))
      expect(lines[0]).toMatch(/does not take traces: .*ECONNREFUSED/)
      expect(lines.filter((line) => line.startsWith("WARN"))).toHaveLength(1)
    })
  )

  it.scopedLive("that answers 500 loses what it refused and gets what comes next, each once", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      receiver.answer(status(500))
      const refused = yield* counted("traces", "refused")
      yield* Effect.gen(function* () {
        yield* Effect.withSpan(Effect.void, "refused")
        expect(spansOf(yield* receiver.nextOf("/v1/traces"))[0].name).toBe("refused")
        receiver.answer(taken)
        yield* Effect.withSpan(Effect.void, "next")
        expect(spansOf(yield* receiver.nextOf("/v1/traces"))[0].name).toBe("next")
      }).pipe(Effect.provide(liveTo(receiver.port, { signals: ["traces"], interval: "10 millis" })))
      expect(yield* refused).toBe(1)
      expect(receiver.requests().all).toBe(2)
    })
  )

  it.scopedLive("that refuses one of those that go together gets the others", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const names: Array<string> = []
      receiver.answer(status(503, { "retry-after": "0" }))
      yield* Effect.gen(function* () {
        yield* Effect.withSpan(Effect.void, "first")
        yield* receiver.nextOf("/v1/traces")
        for (const name of ["a", "poison", "b"]) yield* Effect.withSpan(Effect.void, name)
        receiver.answer((response, _, body) => {
          const spans = spansOf(body).map(({ name }) => name)
          if (spans.includes("poison")) return void response.writeHead(400).end()
          names.push(...spans)
          response.end()
        })
        yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => names.length === 3 })
      }).pipe(Effect.provide(liveTo(receiver.port, { signals: ["traces"], interval: "1 hour", maxBatch: 1 })))
      expect(names).toEqual(["first", "a", "b"])
    })
  )

  for (const code of [429, 503]) {
    it.scopedLive(`that answers ${code} gets it again when it wants`, () =>
      Effect.gen(function* () {
        const receiver = yield* startReceiver()
        receiver.answer(status(code, { "retry-after": "0" }))
        yield* Effect.gen(function* () {
          yield* Effect.log("kept")
          yield* receiver.nextOf("/v1/logs")
          receiver.answer(taken)
          const [log] = logsOf(yield* receiver.nextOf("/v1/logs"))
          expect(log.body).toEqual({ stringValue: "kept" })
        }).pipe(Effect.provide(liveTo(receiver.port, { signals: ["logs"], interval: "10 millis" })))
      })
    )
  }

  it.scopedLive("that says it has taken it, and then nothing more, has it once", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      receiver.answer((response) => void response.writeHead(200).write("…"))
      yield* Effect.gen(function* () {
        yield* Effect.log("one")
        yield* receiver.nextOf("/v1/logs")
        yield* Effect.log("two")
        const [log, ...others] = logsOf(yield* receiver.nextOf("/v1/logs"))
        expect(log.body).toEqual({ stringValue: "two" })
        expect(others).toEqual([])
      }).pipe(
        Effect.provide(liveTo(receiver.port, { signals: ["logs"], interval: "10 millis", timeout: "300 millis" }))
      )
    })
  )

  it.scopedLive("that answers without end is not listened to", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      receiver.answer((response) => {
        response.writeHead(200)
        const more = () => {
          while (!response.destroyed && response.write("x".repeat(65_536)));
        }
        response.on("drain", more)
        more()
      })
      const taken = yield* counted("logs", "taken")
      yield* Effect.gen(function* () {
        yield* Effect.log("one")
        yield* receiver.nextOf("/v1/logs")
        yield* Effect.log("two")
        yield* receiver.nextOf("/v1/logs")
      }).pipe(Effect.provide(liveTo(receiver.port, { signals: ["logs"], interval: "10 millis" })))
      expect(yield* taken).toBeGreaterThanOrEqual(1)
    })
  )

  it.scopedLive("that dies in the middle of a request gets it again when it is back", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      receiver.answer((response) => void response.socket?.resetAndDestroy())
      yield* Effect.gen(function* () {
        yield* Effect.log("kept")
        yield* receiver.nextOf("/v1/logs")
        receiver.answer(taken)
        const [log] = logsOf(yield* receiver.nextOf("/v1/logs"))
        expect(log.body).toEqual({ stringValue: "kept" })
      }).pipe(Effect.provide(liveTo(receiver.port, { signals: ["logs"], interval: "10 millis" })))
    })
  )

  it.scopedLive("gets at the end of the layer all that is left, and the end waits for it", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      receiver.answer((response) => void setTimeout(() => response.end(), 5))
      const program = Effect.repeatN(
        Effect.withSpan(Effect.void, "last", { attributes: { text: "x".repeat(4000) } }),
        999
      )
      const live = liveTo(receiver.port, {
        signals: ["traces"],
        maxBatch: 50,
        maxBytes: 2 ** 23,
        shutdownTimeout: "20 seconds"
      })
      yield* Effect.provide(program, live)
      // Some 4 MB, in requests of half a megabyte.
      const { all, mostOpen, open } = receiver.requests()
      expect({ mostOpen, open }).toEqual({ mostOpen: 1, open: 0 })
      expect(all).toBeLessThanOrEqual(20)
      let spans = 0
      for (let left = all; left > 0; left--) spans += spansOf(yield* receiver.nextOf("/v1/traces")).length
      expect(spans).toBe(1000)
    })
  )

  it.scopedLive("gets only the last totals of metrics, however long it was away", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      receiver.answer(nothing)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const sender = yield* Sender.make("metrics", {
            url: `http://127.0.0.1:${receiver.port}/v1/metrics`,
            shown: "the receiver",
            headers: {},
            timeout: Duration.seconds(10),
            maxBytes: 1000
          })
          for (let n = 0; n < 1000; n++) sender.replace([batchOf("", 300), batchOf("", 300)])
          expect(sender.queue.bytes).toBe(600)
          for (let n = 0; n < 1000; n++) sender.send(batchOf("", 300))
          expect(sender.queue.bytes).toBe(900)
        })
      )
    }).pipe(Effect.provide(Layer.merge(FetchHttpClient.layer, logged().layer)))
  )

  it.scopedLive("gets what a hostile program tells, and the program goes on", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const bad = {
        toString: () => {
          throw new Error("no text")
        },
        toJSON: () => {
          throw new Error("no JSON")
        }
      }
      const hostile: Record<string, unknown> = {
        bad,
        symbol: Symbol("s"),
        big: 2n ** 100n,
        nan: Number.NaN,
        lone: "\ud800",
        fine: 1
      }
      yield* Effect.gen(function* () {
        yield* Effect.withSpan(Effect.void, "effect", { attributes: hostile })
        yield* Telemetry.span(Effect.void, "telemetry", hostile)
        yield* Effect.log(bad).pipe(Effect.annotateLogs(hostile))
        const unreadable = Object.defineProperty(new Error(), "message", { get: bad.toString })
        yield* Effect.exit(Effect.withSpan(Effect.fail(unreadable), "unreadable"))
        yield* Effect.logError("unreadable", Cause.fail(unreadable))
        yield* Effect.withSpan(Effect.void, "fine")
      }).pipe(Effect.provide(liveTo(receiver.port, { signals: ["traces", "logs"] })))
      const names = new Map<string, unknown>()
      let logs = 0
      for (let left = receiver.requests().all; left > 0; left--) {
        const { body, path } = yield* receiver.next
        if (path === "/v1/logs") logs += logsOf(body).length
        else for (const span of spansOf(body)) names.set(span.name, Number(attributes(span).fine))
      }
      expect(Object.fromEntries(names)).toEqual({ effect: 1, telemetry: 1, unreadable: Number.NaN, fine: Number.NaN })
      expect(logs).toBe(2)
    })
  )

  it.scopedLive("is not told by a fiber that goes on when the layer has ended", () =>
    Effect.gen(function* () {
      const receiver = yield* startReceiver()
      const fiber = yield* Effect.forkDaemon(Effect.forever(Effect.withSpan(Effect.sleep("1 millis"), "daemon"))).pipe(
        Effect.provide(liveTo(receiver.port, { signals: ["traces"], interval: "10 millis" }))
      )
      yield* Effect.sleep("100 millis")
      const { all } = receiver.requests()
      yield* Effect.sleep("100 millis")
      expect(receiver.requests().all).toBe(all)
      yield* Fiber.interrupt(fiber)
    })
  )
})
