import { HttpApiBuilder } from "@effect/platform"
import { Effect, Schema } from "effect"
import { CircuitBreaker, Events, RateLimiter } from "effect-foundation"
import { Api } from "./Api.js"

const NoteWritten = Events.define("note_written", Schema.String)

/** Nobody answers there: each call takes until its timeout. */
const translation = Effect.never as Effect.Effect<string>

export const Notes = HttpApiBuilder.group(Api, "notes", (handlers) =>
  handlers
    .handle("write", ({ payload: { text } }) =>
      NoteWritten.store(text).pipe(
        Effect.map(({ position }) => ({ id: position, text })),
        RateLimiter.execute({ name: "notes", maxRequests: 2 })
      )
    )
    .handle("list", () =>
      Effect.map(NoteWritten.get(), (events) => events.map(({ data, position }) => ({ id: position, text: data })))
    )
    .handle("translate", () =>
      CircuitBreaker.execute(translation, { name: "translator", timeout: "50 millis", maxFailures: 1 })
    )
)
