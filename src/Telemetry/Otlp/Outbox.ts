import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import type { Sender } from "./Sender.js"

/**
 * A client that leaves each request with the sender, and answers at once that it is taken.
 *
 * What stands between Effect's exporters and the receiver. By themselves they start a request for each full batch, however
 * many are on their way, keep the batches of all of them, wait without end for a receiver that does not answer, sleep as
 * long as a 429 asks, and after a failure drop everything for a minute.
 */
export const clientOf = (sender: Sender): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    Effect.sync(() => {
      const { body } = request
      // Nothing is in it where it could not be encoded.
      if (body._tag === "Uint8Array" && body.body.length > 0) {
        sender.send({ body: body.body, contentType: body.contentType })
      }
      return HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }))
    })
  )
