import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { ServiceRegistry } from "effect-foundation"
import * as Sqlite from "effect-foundation/Foundation/Sqlite"
import { startChild } from "../support/child.js"
import { logsOf, startReceiver } from "../support/otlp.js"
import { got } from "./server.js"
import type { Heard, Said, Settings } from "./shutdownChild.js"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "shutdown-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

/** A service in a process of its own, with a receiver of telemetry and a second process that shares its registry. */
const service = (delay: string, deadline: string) =>
  Effect.gen(function* () {
    const filename = join(yield* directory, "foundation.db")
    const receiver = yield* startReceiver()
    const settings: Settings = { filename, otlp: receiver.port, delay, deadline }
    const child = yield* startChild<Said, Heard>(new URL("./shutdownChild.ts", import.meta.url), {
      args: [JSON.stringify(settings)]
    })
    const first = yield* child.receive
    if (!("port" in first)) return yield* Effect.dieMessage("it says nothing of its port")
    const registry = Context.get(yield* Layer.build(Sqlite.layer({ filename })), ServiceRegistry)
    const logged = Effect.gen(function* () {
      const lines: Array<string> = []
      while (!lines.some((line) => line.startsWith("Shutting down"))) {
        const request = yield* receiver.nextOf("/v1/logs")
        for (const record of logsOf(request)) lines.push(String(record.body.stringValue))
      }
      return lines
    })
    return {
      child,
      registry,
      logged,
      get: (path: string) => got(first.port, path),
      /** What it did next. */
      did: Effect.map(child.receive, (said) => ("did" in said ? said.did : ""))
    }
  })

/** Asks until the answer is as it should be. */
const until = <A, E, R>(ask: Effect.Effect<A, E, R>, is: (answer: A) => boolean): Effect.Effect<A, E, R> =>
  Effect.flatMap(ask, (answer) => (is(answer) ? Effect.succeed(answer) : Effect.delay(until(ask, is), "20 millis")))

describe("a process that gets SIGTERM", () => {
  it.scopedLive(
    "is not ready first, serves on, ends what is in flight, gives up registrations, flushes telemetry and exits",
    () =>
      Effect.gen(function* () {
        const { child, did, get, logged, registry } = yield* service("2 seconds", "20 seconds")
        expect((yield* get("/health")).status).toBe(200)
        yield* registry.waitFor("announced")
        yield* registry.waitFor("working")
        const slow = yield* Effect.fork(get("/slow"))
        expect(yield* did).toBe("slow begins")

        yield* child.kill("SIGTERM")
        // Readiness goes down while all else is served, and asked to come to another next time.
        const down = yield* until(get("/health"), ({ status }) => status === 503)
        expect(JSON.parse(down.body)).toMatchObject({ status: "fail", ready: false, draining: true })
        const served = yield* get("/")
        expect([served.status, served.headers.connection]).toEqual([200, "close"])
        expect((yield* get("/health/live")).status).toBe(200)
        // What was announced is taken back, and what the work needs is not.
        expect(yield* did).toBe("announcement is taken back")
        yield* until(registry.lookupOption("announced"), Option.isNone)
        expect((yield* registry.lookup("working")).name).toBe("working")
        // Then nothing new is taken.
        const refused = yield* until(get("/"), ({ status }) => status === 503)
        expect(refused.headers["retry-after"]).toBe("1")
        expect((yield* get("/health/live")).status).toBe(200)

        yield* child.send("go")
        const answered = yield* Fiber.join(slow)
        expect([answered.status, answered.body, answered.headers.connection]).toEqual([200, "slow", "close"])
        expect(yield* did).toBe("slow ends")
        expect(yield* did).toBe("server closes")
        expect(yield* did).toBe("work closes")
        expect(yield* child.exit).toMatchObject({ code: 0, signal: null })
        yield* until(registry.lookupOption("working"), Option.isNone)
        expect(yield* logged).toEqual(["Shutting down, with 1 in flight", "the last words"])
      }),
    60_000
  )

  it.scopedLive(
    "ends by its deadline, though requests never do",
    () =>
      Effect.gen(function* () {
        const { child, did, get, logged, registry } = yield* service("100 millis", "500 millis")
        yield* registry.waitFor("announced")
        const never = yield* Effect.fork(get("/never"))
        expect(yield* did).toBe("never begins")
        const ticks = yield* Effect.fork(get("/ticks"))
        const stuck = yield* Effect.fork(get("/stuck"))
        expect(yield* did).toBe("stuck begins")

        yield* child.kill("SIGTERM")
        expect(yield* did).toBe("announcement is taken back")
        expect(yield* did).toBe("never interrupted")
        expect((yield* Fiber.join(never)).status).toBe(503)
        expect((yield* Fiber.join(ticks)).body).toMatch(/^(tick\n)+$/)
        expect(yield* child.exit).toMatchObject({ code: 0, signal: null })
        yield* Fiber.interrupt(stuck)
        yield* until(registry.lookupOption("working"), Option.isNone)
        expect(yield* logged).toEqual([
          "Shutting down, with 3 in flight",
          "Interrupting what has not ended in time: 3 in flight",
          "What was launched does not close, and is left as it is"
        ])
      }),
    60_000
  )
})
