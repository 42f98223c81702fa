import { HttpClient, HttpRouter } from "@effect/platform"
import { Effect } from "effect"
import * as Health from "effect-foundation/Http/Health"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import { serve } from "./Http.js"
import { Scrape } from "./Scrape.js"

/** Serves what the service tells of itself, and answers where. */
export const startMonitoring = serve(HttpRouter.empty.pipe(Prometheus.route(), Health.routes()))

/** Scrapes it, as Prometheus does. */
export const scrape = (monitoring: URL) =>
  HttpClient.get(new URL("/metrics", monitoring)).pipe(
    Effect.flatMap((response) => response.text),
    Effect.map((text) => new Scrape(text))
  )
