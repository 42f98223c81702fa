import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { FileSystem } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Effect, Stream } from "effect"
import { startChild } from "../../test/support/child.js"
import { Scrape } from "../quakes/Scrape.js"
import type { Message } from "./child.js"
import { answered, type Load, order } from "./Load.js"
import { OrderPaid } from "./Orders.js"
import { services } from "./Service.js"

const config = (maxRequests: number, timeout: string) => `
rateLimiter: { api: { maxRequests: ${maxRequests}, interval: 1 hour } }
circuitBreaker: { payments: { maxFailures: 5, timeout: ${timeout}, resetTimeout: 300 millis } }
shutdown: { delay: 300 millis, deadline: 5 seconds }
`

const request = (url: URL, init: RequestInit = {}) => Effect.promise((signal) => fetch(url, { ...init, signal }))

/** Asks until the status is as wanted. */
const until = (status: number, ask: Effect.Effect<Response>) =>
  Effect.repeat(Effect.delay(ask, "20 millis"), { until: (response) => response.status === status })

/** What the service says that it has answered to orders: by status, and in all. */
const orders = (metrics: string, load: Pick<Load, "answers">) => {
  const scrape = new Scrape(metrics)
  const count = (status: string) => scrape.sum("shop_request_duration_seconds_count", { method: "POST", status })
  return {
    answers: Object.fromEntries(Object.keys(load.answers).map((status) => [status, count(status)])),
    total: scrape.sum("shop_request_duration_seconds_count", { method: "POST" })
  }
}

/** The loads in one. */
const sum = (...loads: ReadonlyArray<Pick<Load, "answers">>): { answers: Record<string, number> } => {
  const answers: Record<string, number> = {}
  for (const load of loads) {
    for (const [status, count] of Object.entries(load.answers)) answers[status] = (answers[status] ?? 0) + count
  }
  return { answers }
}

describe("The service under the load of autocannon", () => {
  const title = "answers every request through a limit, an outage and a shutdown, and keeps what it has answered"
  it.scopedLive(
    title,
    () =>
      Effect.gen(function* () {
        const directory = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())
        const files = { database: join(directory, "orders.db"), config: join(directory, "foundation.config.yaml") }
        const write = (maxRequests: number, timeout: string) =>
          Effect.promise(() => writeFile(files.config, config(maxRequests, timeout)))
        yield* write(25, "10 seconds")
        const args = [files.database, files.config]
        const child = yield* startChild<Message>(new URL("./child.ts", import.meta.url), { args })
        const places = yield* child.receive
        if (!("api" in places)) return expect.unreachable()
        const at = (path: string) => new URL(path, places.api)

        // The limit admits exactly as many as it says, and is changed while the service runs.
        const limit = yield* order({ url: at("/"), amount: 100, connections: 8 })
        expect(limit).toEqual({ sent: 100, answers: { 201: 25, 429: 75 }, failed: 0, cut: 0, hung: 0 })
        const refusal = yield* request(at("/orders"))
        expect(refusal.status).toBe(429)
        expect(Number(refusal.headers.get("retry-after"))).toBeGreaterThan(3000)
        expect(refusal.headers.get("ratelimit-policy")).toBe('"api";q=25;w=3600')
        expect(yield* Effect.promise(() => refusal.json())).toMatchObject({ status: 429, code: "rate_limited" })
        yield* write(1_000_000, "1 second")
        yield* until(200, request(at("/orders")))

        // The provider works, hangs, and fails: no order waits for longer than its timeouts, and most fail at once.
        const mood = (name: string) => until(200, request(new URL(`/mood/${name}`, places.provider), { method: "PUT" }))
        const working = yield* order({ url: at("/"), amount: 50, connections: 8 })
        expect(answered(working)).toBe(50)
        expect(working.answers[201]).toBeGreaterThan(0)
        yield* mood("hangs")
        const hanging = yield* order({ url: at("/"), amount: 100, connections: 8 })
        expect(answered(hanging)).toBe(100)
        // An order that has waited is tried again, and then rejected, if the circuit is open by then.
        const { 503: rejected = 0, 504: timedOut = 0 } = hanging.answers
        expect(rejected + timedOut).toBe(100)
        expect(rejected).toBeGreaterThan(timedOut)
        const fails = (count: number) => {
          if (count === 50) Effect.runFork(mood("fails"))
        }
        const failing = yield* order({ url: at("/"), amount: 150, connections: 8, onAnswer: fails })
        expect(failing).toMatchObject({ sent: 150, failed: 0, cut: 0, hung: 0 })
        expect(Object.keys(failing.answers).every((status) => ["502", "503", "504"].includes(status))).toBe(true)
        expect(answered(failing)).toBe(150)
        const health = yield* request(at("/health"))
        expect(health.status).toBe(200)
        yield* mood("works")

        const scraped = yield* Effect.promise(async () => (await fetch(at("/metrics"))).text())
        const sofar = sum(limit, working, hanging, failing)
        expect(orders(scraped, sofar)).toEqual({ ...sofar, total: answered(sofar) })

        // It is well again, by itself.
        const wish = JSON.stringify({ customer: "bob", item: "tea", cents: 450 })
        const again: Record<string, number> = {}
        const retried = Effect.tap(request(at("/orders"), { method: "POST", body: wish }), ({ status }) => {
          again[status] = (again[status] ?? 0) + 1
        })
        yield* until(201, retried)

        // SIGTERM in the middle of the load: what was begun is answered, the rest is refused.
        const kill = (count: number) => {
          if (count === 60) Effect.runFork(child.kill("SIGTERM"))
        }
        const shutdown = yield* order({ url: at("/"), amount: 5000, connections: 8, onAnswer: kill })
        expect(shutdown).toMatchObject({ sent: 5000, hung: 0 })
        expect(answered(shutdown) + shutdown.failed + shutdown.cut).toBe(5000)
        expect(shutdown.failed + shutdown.cut).toBeGreaterThan(0)
        expect(Object.keys(shutdown.answers).every((status) => status === "201" || status === "503")).toBe(true)
        const last = yield* child.receive
        if (!("metrics" in last)) return expect.unreachable()
        const all = sum(sofar, { answers: again }, shutdown)
        expect(orders(last.metrics, all)).toEqual({ ...all, total: answered(all) })
        expect(yield* child.exit).toMatchObject({ code: 0, signal: null })

        // What was answered with 201 is stored, and nothing else.
        const stored = yield* Stream.runCollect(OrderPaid.stream()).pipe(Effect.provide(services(files)))
        expect(Chunk.size(stored)).toBe(all.answers[201])
      }).pipe(Effect.provide(NodeFileSystem.layer)),
    120_000
  )
})
