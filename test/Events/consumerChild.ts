import { Effect, Layer } from "effect"
import { Events } from "effect-foundation/Events"
import { Telemetry } from "effect-foundation/Telemetry"
import { parent, runChild } from "../support/parent.js"
import { processAt, writeDone } from "./consumerProcess.js"

/** What a worker tells: that it is there, that it has become active or lost that, and what its handler begins and ends with. */
export type Said =
  | { readonly is: "up" }
  | { readonly lease: string }
  | { readonly begins: number }
  | { readonly ends: number }
  | { readonly interrupted: number }

/** Lets the handler that waits at its gate go on. */
export type Heard = "go"

const { receive, send } = parent<Said, Heard>()
/** A process with one consumer: `place`, its name, the mode of its handler, and its lease in milliseconds. */
const [place = "", worker = "", mode = "", lease = "1000"] = process.argv.slice(2)

const handler = ({ position }: Events.StoredEvent) =>
  Effect.gen(function* () {
    yield* send({ begins: position })
    if (mode.includes("gate")) yield* receive
    yield* writeDone(position, worker)
    if (mode.includes("slow")) yield* Effect.sleep("5 millis")
    yield* send({ ends: position })
  }).pipe(Effect.onInterrupt(() => send({ interrupted: position })))

runChild(
  Effect.gen(function* () {
    yield* Telemetry.attach("lease", "events.consumer.lease", ({ metadata }) =>
      send({ lease: String(metadata.outcome) })
    )
    yield* send({ is: "up" })
    return yield* Events.consume({
      name: "a",
      lease: Number(lease),
      transactional: mode.includes("transactional"),
      handler
    })
  }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(processAt(place), Telemetry.layer)))
)
