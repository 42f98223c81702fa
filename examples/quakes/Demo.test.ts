import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { describePrometheus, eventually } from "../../test/support/prometheus.js"
import { startPrometheus } from "../servers/Prometheus.js"
import { demo } from "./Demo.js"
import { judged } from "./Metrics.js"
import { configCopy, Platform, services } from "./Services.js"

/** Takes what the demo writes, and knows the address of its metrics as soon as that is said. */
const makeOutput = Effect.map(Deferred.make<URL>(), (said) => {
  let written = ""
  const write = (text: string) => {
    written += text
    const [address] = /http:\S+(?=metrics)/.exec(written) ?? []
    if (address !== undefined) Deferred.unsafeDone(said, Effect.succeed(new URL(address)))
  }
  return { write, address: Deferred.await(said), written: () => written }
})

describePrometheus("The demo under the eyes of Prometheus", () => {
  it.scopedLive(
    "is scraped while it runs, and a query answers its own count",
    () =>
      Effect.gen(function* () {
        const configFile = yield* configCopy
        const output = yield* makeOutput
        const running = yield* demo({ configFile, output }).pipe(Effect.provide(services(configFile)), Effect.fork)
        // A demo that fails says no address.
        const { host } = yield* Effect.raceFirst(output.address, Effect.zipRight(Fiber.join(running), Effect.never))
        const prometheus = yield* startPrometheus(host)

        const midway = yield* eventually(prometheus.query("quakes_judged_total"), (answers) => answers.length > 0)
        const { holds, scraped } = yield* Fiber.join(running)
        expect(output.written()).toContain("All of it holds")
        expect(holds).toBe(true)

        const own = judged(scraped)
        const [end] = yield* eventually(prometheus.query("quakes_judged_total"), ([end]) => end?.value[1] === `${own}`)
        expect(own).toBe(1707)
        expect(Number(midway[0]?.value[1])).toBeLessThan(own)
        expect(end?.metric).toMatchObject({ __name__: "quakes_judged_total", job: "app", instance: host })
      }).pipe(Effect.provide(Platform)),
    120_000
  )
})
