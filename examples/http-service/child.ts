/** The service as a process of its own, for its test: it says where it is, and at its end what it has counted. */
import { Effect, Stream } from "effect"
import * as Prometheus from "effect-foundation/Telemetry/Prometheus"
import { parent, runChild } from "../../test/support/parent.js"
import { run, services } from "./Service.js"

export type Message = { readonly api: string; readonly provider: string } | { readonly metrics: string }

const [database = "", config = ""] = process.argv.slice(2)
const { send } = parent<Message>()

const counted = Effect.flatMap(Stream.mkString(Prometheus.text()), (metrics) => send({ metrics }))

runChild(
  run(({ api, provider }) => send({ api: String(api), provider: String(provider) })).pipe(
    Effect.ensuring(counted),
    Effect.provide(services({ database, config }))
  )
)
