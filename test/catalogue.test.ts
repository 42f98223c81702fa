import { readFileSync } from "node:fs"
import { FetchHttpClient, HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, LogLevel, Schedule, Scope, TestClock, TestServices } from "effect"
import { CircuitBreaker, Config, EventError, Events, RateLimiter, ServiceRegistry, Telemetry } from "effect-foundation"
import * as CircuitBreakerRedis from "effect-foundation/CircuitBreaker/Redis"
import { memoryDefault } from "effect-foundation/Events/Memory"
import { makeHeldBack } from "effect-foundation/Events/Sql/HeldBack"
import * as Client from "effect-foundation/Http/Client"
import * as RateLimiterRedis from "effect-foundation/RateLimiter/Redis"
import { Redis } from "effect-foundation/Redis"
import { FoundationTest, TelemetryRecording } from "effect-foundation/Testing"
import { catalogue } from "../src/Telemetry/Catalogue.js"

interface Row {
  readonly name: string
  readonly measurements: ReadonlyArray<string>
  readonly metadata: ReadonlyArray<string>
}

/** A consumer that handles an event and gives up on another, and one whose store does not answer. */
const consuming = Effect.gen(function* () {
  yield* Events.storeAll([{ type: "t" }, { type: "t", data: "bad" }])
  const handler = ({ data }: Events.StoredEvent) => (data === "bad" ? Effect.fail("bad") : Effect.void)
  const consumer = yield* Effect.fork(Events.consume({ name: "mails", handler, retry: Schedule.recurs(1) }))
  const letters = Effect.zipRight(Effect.yieldNow(), Events.deadLetters({ consumer: "mails" }))
  yield* Effect.repeat(letters, { until: (letters) => letters.length > 0 })
  yield* Fiber.interrupt(consumer)

  const backend = yield* memoryDefault
  const claim = () => new EventError({ reason: "storage_unavailable", message: "the store does not answer" })
  const away = yield* Events.make({ ...backend, consumers: { ...backend.consumers, claim } })
  const waiting = yield* Effect.fork(away.consume({ name: "mails", handler }))
  yield* Effect.yieldNow()
  yield* Fiber.interrupt(waiting)
})

/** A Redis that is not there. */
const noRedis = Redis.layer({ url: "redis://127.0.0.1:1" })

/** Everything that makes a component emit. */
const everything = Effect.gen(function* () {
  yield* Config.set("greeting", "hello")
  yield* Config.reload
  yield* Config.set("rateLimiter.api", { maxRequests: 0 })
  yield* Effect.yieldNow()

  yield* Events.store({ type: "order_placed" })
  yield* Events.get()
  yield* Events.prune({ type: "order_placed" })
  yield* Effect.flip(Events.store({ type: "" }))

  yield* consuming

  yield* Telemetry.attach("broken", "test.*", () => {
    throw new Error("boom")
  })
  yield* Telemetry.metrics([Telemetry.counter("test.request", { tags: ["user"], maxSeries: 1 })])
  yield* Telemetry.execute("test.request", {}, { user: "ada" })
  yield* Telemetry.execute("test.request", {}, { user: "bob" })

  const scope = yield* Scope.make()
  yield* Scope.extend(ServiceRegistry.register("auth", new URL("http://auth")), scope)
  yield* Effect.flip(ServiceRegistry.register("auth", new URL("http://other")))
  yield* Scope.close(scope, Exit.void)

  const call = Effect.void.pipe(CircuitBreaker.execute({ name: "payments", maxFailures: 1 }))
  yield* call
  yield* CircuitBreaker.forceOpen("payments")
  yield* Effect.flip(call)
  yield* Effect.ignore(Effect.void.pipe(CircuitBreaker.execute({ name: "payments", maxFailures: 2 })))

  yield* call.pipe(
    Effect.provide(Layer.provide(CircuitBreakerRedis.layer(), noRedis)),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

  yield* RateLimiter.consume({ name: "mail", maxRequests: 1 })
  yield* Effect.flip(RateLimiter.consume({ name: "mail", maxRequests: 1 }))
  yield* Effect.ignore(RateLimiter.consume({ name: "mail", maxRequests: 2 }))
  yield* RateLimiter.consume({ name: "mail" }).pipe(
    Effect.provide(Layer.provide(RateLimiterRedis.layer(), noRedis)),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

  // Nobody listens on that port.
  yield* Effect.flatMap(HttpClient.HttpClient, (client) =>
    Client.resilient(client, { retry: { times: 1, base: 0 } }).get("http://127.0.0.1:1")
  ).pipe(Effect.flip, Effect.provide(FetchHttpClient.layer), TestServices.provideLive)

  const note = yield* makeHeldBack(Effect.succeed({ safe: 1, taken: 2 }), () => undefined)
  note({ safe: 1, taken: 2 })
  yield* TestClock.adjust("2 seconds")

  // Nobody listens on that port.
  yield* Layer.build(noRedis).pipe(Logger.withMinimumLogLevel(LogLevel.None))
}).pipe(Effect.scoped)

const byName = (one: Row, other: Row) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0)

const listed: ReadonlyArray<Row> = Object.entries(catalogue)
  .map(([name, { measurements, metadata }]) => ({ name, measurements, metadata }))
  .sort(byName)

/** The rows of the table under the heading in the README. */
const documented = (): ReadonlyArray<Row & { readonly when: string }> => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")
  const [, section = ""] = /\n## Telemetry catalogue\n([\s\S]*?)\n## /.exec(readme) ?? []
  return section
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => {
      const [name = "", when = "", measurements = "", metadata = ""] = line
        .split("|")
        .slice(1)
        .map((cell) => cell.trim())
      const quoted = (cell: string) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, word = ""]) => word)
      return { name: quoted(name)[0] ?? "", when, measurements: quoted(measurements), metadata: quoted(metadata) }
    })
    .sort(byName)
}

describe("the telemetry catalogue", () => {
  it.effect("lists every event that the components emit, each with its measurements and metadata, and no other", () =>
    Effect.gen(function* () {
      yield* everything
      const events = yield* (yield* TelemetryRecording).events
      const rows = new Map<string, Row>()
      for (const { measurements, metadata, name } of events) {
        if (name.startsWith("test.")) continue
        const row = { name, measurements: Object.keys(measurements), metadata: Object.keys(metadata) }
        const sorted = (entry: Row) => [[...entry.measurements].sort(), [...entry.metadata].sort()]
        const stated = listed.find((entry) => entry.name === name)
        expect(stated && sorted(stated), name).toEqual(sorted(row))
        rows.set(name, row)
      }
      expect([...rows.keys()].sort()).toEqual(listed.map(({ name }) => name))
    }).pipe(Effect.provide(FoundationTest))
  )

  it("stands in the README as it is", () => {
    expect(documented()).toEqual(
      listed.map((row) => ({ ...row, when: catalogue[row.name as keyof typeof catalogue].when }))
    )
  })
})
