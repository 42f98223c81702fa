import { FetchHttpClient, HttpClient } from "@effect/platform"
import { NodeFileSystem } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream, TestClock, TestServices } from "effect"
import { ServiceRegistry, Telemetry } from "effect-foundation"
import { startFeed } from "./Feed.js"
import { locate } from "./Http.js"
import { week } from "./Quake.js"

const services = Layer.mergeAll(
  Layer.provideMerge(ServiceRegistry.layer, Telemetry.layer),
  FetchHttpClient.layer,
  NodeFileSystem.layer
)

const get = (path: string) => Effect.flatMap(locate("usgs-feed", path), HttpClient.get)

const outage = { page: 2, refuses: "2 seconds", hangs: "3 seconds" } as const

describe("The feed", () => {
  it.scoped("breaks off in the middle of its page, refuses, hangs, and is well again", () =>
    Effect.gen(function* () {
      const quakes = yield* week
      yield* startFeed(quakes, outage)

      const first = yield* get("/quakes?page=1&size=50")
      expect(first.headers.link).toBe('</quakes?page=2&size=50>; rel="next"')
      expect(
        (yield* first.text)
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
      ).toEqual(quakes.slice(0, 50))

      const ids: Array<string> = []
      const broken = yield* get("/quakes?page=2&size=50").pipe(
        Effect.map(({ stream }) => Stream.splitLines(Stream.decodeText(stream))),
        Stream.unwrap,
        Stream.runForEach((line) => {
          ids.push(JSON.parse(line).id)
          return ids.length === 25 ? TestClock.adjust("100 millis") : Effect.void
        }),
        Effect.flip
      )
      expect(broken._tag).toBe("ResponseError")
      expect(ids).toEqual(quakes.slice(50, 75).map(({ id }) => id))

      expect((yield* get("/quakes?page=2&size=50")).status).toBe(503)
      yield* TestClock.adjust(outage.refuses)
      const unanswered = get("/quakes?page=2&size=50").pipe(
        Effect.timeoutOption("100 millis"),
        TestServices.provideLive
      )
      expect(Option.isNone(yield* unanswered)).toBe(true)
      yield* TestClock.adjust(outage.hangs)

      const again = yield* get("/quakes?page=2&size=50")
      expect((yield* again.text).trim().split("\n")).toHaveLength(50)
      const last = yield* get("/quakes?page=35&size=50")
      expect(last.headers.link).toBeUndefined()
      expect((yield* last.text).trim().split("\n")).toHaveLength(7)
    }).pipe(Effect.provide(services))
  )
})
