import type * as HttpBody from "@effect/platform/HttpBody"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

/** The methods that may be sent twice with the effect of once (RFC 9110, 9.2.2). */
export const idempotent: ReadonlyArray<string> = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]

/** Whom the request goes to, as `https://api.example.com`; nothing where its URL is none. */
export const originOf = ({ hash, url, urlParams }: HttpClientRequest.HttpClientRequest): string | undefined =>
  Option.getOrUndefined(
    Option.map(Either.getRight(UrlParams.makeUrl(url, urlParams, hash)), ({ host, protocol }) => `${protocol}//${host}`)
  )

/** Whether the body can be sent a second time: not where it is a stream, or something that may be one. */
export const isReplayable = (body: HttpBody.HttpBody): boolean => {
  switch (body._tag) {
    case "Stream":
      return false
    case "Raw":
      return (
        typeof body.body === "string" ||
        body.body instanceof ArrayBuffer ||
        ArrayBuffer.isView(body.body) ||
        body.body instanceof Blob ||
        body.body instanceof URLSearchParams
      )
    default:
      return true
  }
}
