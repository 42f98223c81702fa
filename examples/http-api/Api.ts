import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "@effect/platform"
import { Schema } from "effect"
import { CircuitOpen, EventError, OperationTimeout, RateLimited, StoreUnavailable } from "effect-foundation"

export const Note = Schema.Struct({ id: Schema.Int, text: Schema.NonEmptyString })

const NewNote = Schema.Struct({ text: Schema.NonEmptyString })

/**
 * The errors of the library are those of the endpoints, each under its own status: a client that is derived from the API
 * has them back as they were. They tell of circuits, limits and keys, so this suits clients that may know of those; for
 * strangers there are problems (`Http/Problem`).
 */
const notes = HttpApiGroup.make("notes")
  .add(
    HttpApiEndpoint.post("write", "/notes")
      .setPayload(NewNote)
      .addSuccess(Note, { status: 201 })
      .addError(RateLimited)
      .addError(StoreUnavailable)
      .addError(EventError)
  )
  .add(HttpApiEndpoint.get("list", "/notes").addSuccess(Schema.Array(Note)).addError(EventError))
  .add(
    HttpApiEndpoint.get("translate")`/notes/${HttpApiSchema.param("id", Schema.NumberFromString)}/translation`
      .addSuccess(Schema.String)
      .addError(CircuitOpen)
      .addError(OperationTimeout)
      .addError(StoreUnavailable)
  )

export const Api = HttpApi.make("notes").add(notes)
