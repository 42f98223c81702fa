import { hostname } from "node:os"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { EventError } from "../../FoundationError.js"
import { deadline } from "../../internal/deadline.js"
import { Refused } from "../../internal/json.js"
import { monotonicMicros } from "../../internal/monotonic.js"
import type { Telemetry } from "../../Telemetry.js"
import type { Backend } from "../Backend.js"
import { everything } from "../Criteria.js"
import { invalidConsumer } from "../Failures.js"
import type { Settings } from "./Options.js"
import { passes, patienceOf } from "./Patience.js"
import type { Claim, Claimed } from "./Store.js"
import { type Lost, Tenure } from "./Tenure.js"
import { reportLag, work } from "./Work.js"

/** How often one that stands by looks whether it can take over, where the store does not tell. */
const standbyInterval = 1000

/** How long a consumer that ends waits for the store to take its lease back. Past it, the lease runs out by itself. */
const releaseWithin = Duration.seconds(2)

/** Host, process and a random part: for people to find the process by, and different for each consumer. */
const makeOwner = (): string => `${hostname().slice(0, 100)}/${process.pid}/${crypto.randomUUID().slice(0, 13)}`

/**
 * One consumer, until it is interrupted: it stands by until no other of its name is active, is active until it loses its
 * lease, and begins anew.
 */
export const consume = <R>(
  backend: Backend,
  telemetry: Telemetry.Service,
  settings: Settings<R>
): Effect.Effect<never, EventError, R> => {
  const { name } = settings
  const { consumers } = backend
  const patience = patienceOf(telemetry, name)

  const tell = (outcome: "acquired" | "released" | "lost") =>
    Effect.sync(() => telemetry.emit("events.consumer.lease", { count: 1 }, { name, outcome }))

  const head = Effect.map(backend.read({ ...everything, limit: 0 }), ({ head }) => head)

  const running = Effect.gen(function* () {
    const changed = yield* patience.through(consumers.changes(name))
    const startAfter = settings.startAfter === "head" ? yield* patience.through(head) : settings.startAfter
    const { criteria, lease } = settings
    const claim: Claim = { name, owner: makeOwner(), lease, criteria, startAfter }
    /** How often in a row the store failed, without an event that was handled in between. */
    let failures = 0

    const activeFrom = (since: number, { position, replays, token }: Extract<Claimed, { _tag: "Active" }>) =>
      new Tenure({ name, owner: claim.owner, token, lease }, consumers, patience, { since, position, replays })

    /**
     * Active, until the lease is lost or the store fails such that only a new claim tells how far this one had come. In
     * fibers of a scope, which waits for them: nothing that is done here outlasts it. The work ends first, and has its
     * lease renewed until then.
     */
    const active = (tenure: Tenure): Effect.Effect<never, Lost | EventError, R> =>
      Effect.gen(function* () {
        yield* tell("acquired")
        const end = yield* Deferred.make<never, Lost | EventError>()
        const begin = (part: Effect.Effect<never, Lost | EventError, R>) =>
          Effect.forkScoped(Effect.intoDeferred(part, end))
        // From the beginning: the store may keep it from listening for longer than the lease.
        yield* begin(tenure.renewing)
        const stored = yield* Effect.raceFirst(patience.through(backend.changes), Deferred.await(end))
        const replay = Effect.map(changed, () => {
          tenure.replays = true
        })
        const parts = { settings, backend, telemetry, patience, tenure, idle: Effect.raceFirst(stored, replay) }
        yield* begin(reportLag(parts))
        yield* begin(work(parts))
        return yield* Deferred.await(end)
      }).pipe(Effect.scoped)

    /** What to give back at the end: perhaps a lease, since the answer of a claim may be lost, and the tenure it is of. */
    let mayHold = false
    let current: Tenure | undefined
    const end = Effect.suspend(() => {
      if (!mayHold) return Effect.void
      const release = consumers.release(name, claim.owner, current?.position ?? 0)
      const released = Effect.ignore(deadline(release, releaseWithin, () => undefined))
      return current === undefined ? released : Effect.zipRight(released, tell("released"))
    })

    /** One claim, and what comes of it. */
    const turn = Effect.gen(function* () {
      const since = monotonicMicros(yield* Clock.clockWith(Effect.succeed))
      mayHold = true
      const claimed = yield* consumers.claim(claim)
      if (claimed._tag === "Active") {
        const tenure = activeFrom(since, claimed)
        current = tenure
        return yield* Effect.onError(active(tenure), () =>
          Effect.sync(() => {
            if (tenure.position > claimed.position) failures = 0
          })
        )
      }
      mayHold = false
      if (claimed._tag === "OtherCriteria") return yield* Effect.fail(otherCriteria(claimed.criteria))
      const wait = Duration.millis(Math.min(Math.max(1, claimed.remaining), standbyInterval))
      return yield* Effect.raceFirst(changed, Effect.sleep(wait))
    }).pipe(
      Effect.catchAll((failure): Effect.Effect<void, EventError> => {
        if (failure._tag === "EventError")
          return passes(failure) ? patience.wait(failure, failures++) : Effect.fail(failure)
        current = undefined
        return tell("lost")
      })
    )
    return yield* Effect.onExit(Effect.forever(turn), () => end)
  })

  const consuming = Effect.interruptible(Effect.scoped(running))
  return consumers.outside === undefined ? consuming : consumers.outside(consuming)
}

const otherCriteria = (criteria: string): EventError =>
  invalidConsumer(
    new Refused(
      "criteria",
      `are not those that this name was first used with, ${criteria}: give the consumer another name, and startAfter to go on from a position`
    )
  )
