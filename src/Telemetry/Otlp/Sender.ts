import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Verdict, verdictOf, waitAfter } from "./Answer.js"
import { type Batch, Queue } from "./Queue.js"

export type Signal = "traces" | "metrics" | "logs"

/** How much is sent in one request, in bytes, where there is more than one batch. */
const maxRequest = 512 * 1024

/** How much of an answer is read, in bytes, and for how long: all of one that says something, not one that never ends. */
const maxAnswer = 64 * 1024
const maxReading = Duration.seconds(1)

const read = (answer: Stream.Stream<Uint8Array, unknown>) =>
  answer.pipe(
    Stream.mapAccum(0, (read, chunk) => [read + chunk.length, read + chunk.length]),
    Stream.takeWhile((read) => read < maxAnswer),
    Stream.runDrain
  )

const batches = Metric.counter("telemetry_export_batches", {
  incremental: true,
  description: "Batches for the OpenTelemetry receiver, by what became of them"
})

/** What became of a batch: the receiver has it, has refused it, or it was dropped to keep to the bound. */
export const count = (signal: Signal, outcome: "taken" | "refused" | "dropped", amount: number): void => {
  batches.pipe(Metric.tagged("signal", signal), Metric.tagged("outcome", outcome)).unsafeUpdate(amount, [])
}

export interface Target {
  readonly url: string
  /** How the receiver is called in the log. */
  readonly shown: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeout: Duration.Duration
  readonly maxBytes: number
}

/** What one signal has for the receiver. */
export interface Sender {
  readonly queue: Queue
  /** In a synchronous step, and never throws. */
  readonly send: (batch: Batch) => void
  /** In place of all that waits: of totals only the last matter. */
  readonly replace: (batches: ReadonlyArray<Batch>) => void
  /** Sends what is there, each once, and ends when nothing is left or the receiver does not take it. */
  readonly flush: Effect.Effect<void>
}

/**
 * Sends batches one after the other, as fast as the receiver takes them, in a fiber of the scope. What it does not take now
 * waits, bounded in bytes, and is tried again; what it refuses is given up.
 */
export const make = (
  signal: Signal,
  { headers, maxBytes, shown, timeout, url }: Target
): Effect.Effect<Sender, never, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const client = HttpClient.withTracerPropagation(yield* HttpClient.HttpClient, false)
    const queue = new Queue(maxBytes)
    const work = yield* Effect.makeLatch(false)
    const one = yield* Effect.makeSemaphore(1)
    let isDown = false
    let together = maxRequest

    const dropped = (lost: number) => {
      if (lost > 0) count(signal, "dropped", lost)
    }

    /** One try: what the receiver says, and when it wants to be asked again. */
    const tell = (batches: ReadonlyArray<Batch>) =>
      Effect.suspend(() =>
        client.execute(
          HttpClientRequest.post(url).pipe(
            HttpClientRequest.setHeaders(headers),
            HttpClientRequest.bodyUint8Array(joined(batches), batches[0]?.contentType)
          )
        )
      ).pipe(
        Effect.map(({ headers, status, stream }) => ({
          verdict: verdictOf(status),
          retryAfter: headers["retry-after"],
          why: `it answered ${status}`,
          // The status says it all. The rest is read so that the connection can be used again.
          rest: Effect.ignore(Effect.timeout(Effect.disconnect(read(stream)), maxReading))
        })),
        // Disconnected: a client that is slow to give up must not hold this up.
        Effect.disconnect,
        Effect.timeoutTo({
          duration: timeout,
          onSuccess: (answer) => answer,
          onTimeout: () => ({ ...later, why: `it did not answer within ${Duration.format(timeout)}` })
        }),
        Effect.catchAllCause((cause) => Effect.succeed({ ...later, why: reasonOf(cause) })),
        Effect.tap(({ rest }) => rest),
        Effect.withTracerEnabled(false)
      )

    /** Said when it begins and when it ends, not for each batch. */
    const note = (verdict: Verdict, why: string) => {
      const wasDown = isDown
      isDown = verdict !== "taken"
      if (isDown && !wasDown) {
        const fate = verdict === "refused" ? "what it refuses is dropped" : "it is tried again"
        return Effect.logWarning(`The OpenTelemetry receiver at ${shown} does not take ${signal}: ${why}; ${fate}`)
      }
      return wasDown && !isDown ? Effect.logInfo(`The OpenTelemetry receiver at ${shown} takes ${signal}`) : Effect.void
    }

    const tryOnce = (batches: ReadonlyArray<Batch>) =>
      Effect.flatMap(tell(batches), ({ retryAfter, verdict, why }) => {
        if (verdict === "refused" && batches.length > 1) {
          // One of them may be what it refuses, or it is too much: from now on one by one.
          together = 0
        } else if (verdict !== "later") {
          if (verdict === "taken") together = maxRequest
          queue.remove(batches)
          count(signal, verdict, batches.length)
        }
        return Effect.as(note(verdict, why), { verdict, retryAfter })
      })
    /** What comes first, once; nothing where nothing is there. One at a time, so that nothing is sent twice. */
    const tryFirst = one.withPermits(1)(
      Effect.suspend(() => {
        const batches = queue.first(together)
        return batches.length === 0 ? Effect.succeed(undefined) : tryOnce(batches)
      })
    )

    let failures = 0
    const waitForWork = Effect.suspend(() => {
      if (queue.length > 0) return Effect.void
      work.unsafeClose()
      return work.await
    })
    const step = Effect.flatMap(Effect.zipRight(waitForWork, tryFirst), (answer) => {
      if (answer === undefined || answer.verdict !== "later") {
        failures = 0
        return Effect.void
      }
      failures++
      const wait = waitAfter(failures, answer.retryAfter)
      // Many that lost one receiver must not all come back in one moment.
      return Effect.flatMap(Random.nextRange(1, 1.5), (spread) => Effect.sleep(Duration.millis(wait * spread)))
    })
    yield* Effect.forkScoped(Effect.interruptible(Effect.forever(step)))

    const add = (batch: Batch) => {
      dropped(queue.add(batch))
      work.unsafeOpen()
    }
    const flush: Effect.Effect<void> = Effect.flatMap(tryFirst, (answer) =>
      answer === undefined || answer.verdict === "later" ? Effect.void : flush
    )
    return {
      queue,
      send: add,
      replace: (all) => {
        queue.clear()
        for (const batch of all) add(batch)
      },
      flush: Effect.ensuring(
        flush,
        Effect.sync(() => dropped(queue.clear()))
      )
    }
  })

const joined = (batches: ReadonlyArray<Batch>): Uint8Array =>
  batches.length === 1 && batches[0] !== undefined ? batches[0].body : Buffer.concat(batches.map(({ body }) => body))

const later = { verdict: "later" as const, retryAfter: undefined, rest: Effect.void }

/** The innermost error says what happened; those around it say what was asked, which is known. */
const reasonOf = (cause: Cause.Cause<unknown>): string => {
  let error: unknown = Cause.squash(cause)
  for (let depth = 0; depth < 8 && error instanceof Error && error.cause instanceof Error; depth++) error = error.cause
  return error instanceof Error && error.message !== "" ? error.message.slice(0, 256) : "it cannot be reached"
}
