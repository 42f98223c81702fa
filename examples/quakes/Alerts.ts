import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Effect, Schedule, Schema, Stream, SubscriptionRef } from "effect"
import { Config, RateLimiter, Retry, Telemetry } from "effect-foundation"
import { locate } from "./Http.js"
import { Alert, AlertDelivered, AlertRaised, QuakeRecorded } from "./Journal.js"

export const threshold = Config.Key("quakes.alertThreshold", Schema.Number)

/** How many alerts may wait for their limit at a time; past it, no further one is taken up. */
const maxWaiting = 128

const post = (alert: Alert) =>
  Effect.gen(function* () {
    const url = yield* locate("alert-webhook", "/alerts")
    const request = yield* HttpClientRequest.post(url).pipe(HttpClientRequest.schemaBodyJson(Alert)(alert))
    yield* HttpClient.execute(request).pipe(Effect.flatMap(HttpClientResponse.filterStatusOk))
  }).pipe(Telemetry.span("alerts.post", { region: alert.region }))

/** Tries again soon, but no sooner than the limit lets it. */
const patience = Retry.schedule({ times: 50, base: "50 millis", maxDelay: "200 millis" }).pipe(
  Schedule.tapOutput(() => Telemetry.execute("alerts.retry", { count: 1 }))
)

const deliver = (alert: Alert) =>
  post(alert).pipe(
    RateLimiter.execute({ name: "alerts", key: alert.region }),
    Effect.retry(patience),
    Telemetry.span("alerts.delivery", { region: alert.region })
  )

/** Judges each quake that is recorded, in order, and delivers an alert for each strong one. */
export const makeAlerts = Effect.gen(function* () {
  const judged = yield* SubscriptionRef.make(0)

  const judge = QuakeRecorded.subscribe().pipe(
    Stream.runForEach(({ id, data: quake }) =>
      Effect.gen(function* () {
        const inForce = yield* Config.get(threshold)
        if (quake.isStrong(inForce)) {
          const { magnitude, place, region } = quake
          const alert = new Alert({ quake: id, magnitude, place, region, threshold: inForce })
          yield* AlertRaised.store(alert, { id: `${id}-raised`, causationId: id })
        }
        yield* SubscriptionRef.update(judged, (count) => count + 1)
        yield* Telemetry.execute("quakes.judged", { count: 1 }, { threshold: inForce })
      })
    )
  )
  const dispatch = AlertRaised.subscribe().pipe(
    Stream.mapEffect(
      ({ id, data: alert }) =>
        deliver(alert).pipe(
          Effect.andThen(AlertDelivered.store(alert, { id: `${alert.quake}-delivered`, causationId: id }))
        ),
      { concurrency: maxWaiting, unordered: true }
    ),
    Stream.runDrain
  )

  return {
    run: Effect.all([judge, dispatch], { concurrency: 2, discard: true }),
    /** How many quakes are judged by now. */
    progress: SubscriptionRef.get(judged),
    /** Waits until so many quakes are judged. */
    judged: (count: number) =>
      judged.changes.pipe(
        Stream.takeUntil((reached) => reached >= count),
        Stream.runDrain
      ),
    /** Waits until each alert that is raised is delivered. */
    delivered: Effect.gen(function* () {
      const raised = yield* AlertRaised.get()
      yield* AlertDelivered.subscribe().pipe(Stream.take(raised.length), Stream.runDrain)
    })
  }
})
