import { Headers, HttpClient, HttpClientResponse } from "@effect/platform"
import { Duration, Effect, Option, Schedule, Schema, Stream } from "effect"
import { CircuitBreaker, Config, Retry, Telemetry } from "effect-foundation"
import { locate } from "./Http.js"
import { QuakeRecorded } from "./Journal.js"
import { Feature, Quake } from "./Quake.js"

export const pageSize = 50

const decode = Schema.decode(Schema.parseJson(Feature))

/** Stores each quake of a page as it comes in, and answers the path of the next page, if there is one. */
const page = (path: string) =>
  Effect.gen(function* () {
    const url = yield* locate("usgs-feed", path)
    const response = yield* HttpClient.get(url).pipe(Effect.flatMap(HttpClientResponse.filterStatusOk))
    yield* response.stream.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.mapEffect(decode),
      Stream.runForEach(record)
    )
    return next(response.headers)
  }).pipe(Telemetry.span("quakes.page", { path }))

/** The id of the quake is the id of its event: however often it comes, it is stored once. */
const record = (feature: Feature) =>
  QuakeRecorded.store(Quake.fromFeature(feature), { id: feature.id }).pipe(
    Effect.zipLeft(Telemetry.execute("quakes.offered", { count: 1 }))
  )

const next = (headers: Headers.Headers) =>
  Headers.get(headers, "link").pipe(
    Option.flatMapNullable((link) => /<(.*)>; rel="next"/.exec(link)),
    Option.flatMapNullable(([, path]) => path)
  )

/** What may be over by the next time. Data that does not decode will not, nor will a full store. */
const isPassing = (error: { readonly _tag: string }) =>
  ["RequestError", "ResponseError", "CircuitOpen", "OperationTimeout", "ServiceNotFound"].includes(error._tag)

/** Tries again soon, but no sooner than an open circuit lets it. */
const patience = Retry.schedule({ times: 50, base: "50 millis", maxDelay: "200 millis" }).pipe(
  Schedule.tapOutput(() => Telemetry.execute("quakes.retry", { count: 1 }))
)

/** Follows the feed from its first page to its last, and does after each what is asked for. */
export const ingest = <E, R>(afterPage: (page: number) => Effect.Effect<void, E, R>) =>
  Effect.gen(function* () {
    let path = Option.some(`/quakes?page=1&size=${pageSize}`)
    for (let number = 1; Option.isSome(path); number++) {
      path = yield* page(path.value).pipe(
        CircuitBreaker.execute({ name: "usgs-feed" }),
        Effect.retry({ schedule: patience, while: isPassing })
      )
      yield* afterPage(number)
      yield* Effect.sleep(yield* Config.get("quakes.pause", Duration.millis(100)))
    }
  })
