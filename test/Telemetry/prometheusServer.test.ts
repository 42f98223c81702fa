import { expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Telemetry } from "effect-foundation/Telemetry"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import { freePort } from "../../examples/servers/freePort.js"
import { startPrometheus } from "../../examples/servers/Prometheus.js"
import { describePrometheus, eventually } from "../support/prometheus.js"

describePrometheus("a Prometheus server", () => {
  it.scopedLive("that scrapes the app answers a query with the app's own count, hostile labels and all", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      yield* Layer.build(Prometheus.layer({ port }))
      yield* Telemetry.metrics([
        Telemetry.counter("scraped.order", { name: "scraped_orders", tags: ["shop"] }),
        Telemetry.distribution("scraped.order", { name: "scraped_took", measurement: "took", unit: "ms" })
      ])
      const hostile = [
        "plain",
        'quote"',
        "new\nline",
        "back\\slash",
        "nul\0",
        "cr\r",
        "漢字 🎉",
        "# EOF",
        "{a=1} 5",
        "\ud800"
      ]
      for (const [index, shop] of hostile.entries()) {
        for (let n = 0; n <= index; n++) yield* Telemetry.execute("scraped.order", { took: 40 }, { shop })
      }
      const prometheus = yield* startPrometheus(`127.0.0.1:${port}`)
      // On a busy machine a scrape may be late; what it may not be is invalid.
      const [target] = yield* eventually(
        prometheus.targets,
        ([one]) => one?.health === "up" || (one?.health === "down" && !/deadline|timeout|refused/.test(one.lastError))
      )
      expect(target).toMatchObject({ health: "up", lastError: "" })
      const counts = yield* eventually(prometheus.query("scraped_orders_total"), (answers) => answers.length > 0)
      expect(new Map(counts.map(({ metric, value: [, value] }) => [metric.shop, Number(value)]))).toEqual(
        new Map(hostile.map((shop, index) => [shop.replace("\ud800", "\ufffd"), index + 1]))
      )
      const [sum] = yield* prometheus.query("sum(scraped_took_seconds_sum)")
      expect(Number(sum?.value[1])).toBeCloseTo(55 * 0.04, 6)
      const [median] = yield* prometheus.query("histogram_quantile(0.5, scraped_took_seconds_bucket)")
      expect(Number(median?.value[1])).toBeGreaterThan(0.025)
      expect(Number(median?.value[1])).toBeLessThanOrEqual(0.05)
      yield* Telemetry.execute("scraped.order", { took: 40 }, { shop: "plain" })
      yield* eventually(prometheus.query('scraped_orders_total{shop="plain"}'), ([one]) => one?.value[1] === "2")
    }).pipe(Effect.provide(Telemetry.layer))
  )
})
