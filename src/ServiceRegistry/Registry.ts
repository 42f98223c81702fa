import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { type AlreadyRegistered, RegistryError } from "../FoundationError.js"
import { clockOf, monotonicMicros } from "../internal/monotonic.js"
import type { ServiceRegistry } from "../ServiceRegistry.js"
import { Telemetry } from "../Telemetry.js"
import { acceptClaim, copyMetadata, refuseName } from "./Accept.js"
import type { Backend, Claim } from "./Backend.js"
import * as Failures from "./Failures.js"
import { Feed } from "./Feed.js"
import type { Seat } from "./Group.js"
import { Lifelines } from "./Lifelines.js"
import { noMetadata } from "./Metadata.js"
import { pickFrom } from "./Pick.js"
import { type EndReason, isAlive, type Process, type Registration } from "./Registration.js"
import { Table } from "./Table.js"
import { Waiters } from "./Waiters.js"
import { watchStream } from "./Watch.js"

/** What a granted claim is until its end. */
interface Held {
  readonly name: string
  readonly process: Process
  readonly token: number
  readonly clock: Clock.Clock
  readonly since: number
  ended: boolean
  /** Of a fiber, where the release is: a child of the caller's scope, so that its end leaves nothing behind there. */
  slot: Scope.CloseableScope | undefined
}

interface HeldName extends Held {
  readonly kind: "name"
  registration: Registration
}

interface HeldSeat extends Held {
  readonly kind: "group"
  readonly seat: Seat
}

type Hold = HeldName | HeldSeat

/** Puts a granted claim into the table, or says why not: one step, in which nothing else runs. */
type Enter<H extends Hold, E> = (claim: Claim, token: number, clock: Clock.Clock) => Either.Either<H, E>

export const makeRegistry = (
  backend: Backend,
  capacity: number
): Effect.Effect<ServiceRegistry.Service, never, Telemetry> =>
  Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const runtime = yield* Effect.runtime<never>()
    const table = new Table<HeldName>()
    const feed = new Feed()
    const waiters = new Waiters<Registration>()

    /** Takes the hold out, once. All state has changed before anyone is told, since who is told may come back here. */
    const end = (hold: Hold, reason: EndReason): void => {
      if (hold.ended) return
      hold.ended = true
      if (!(hold.process instanceof URL)) lifelines.remove(hold.process, hold)
      if (hold.kind === "group") table.leave(hold.seat)
      else {
        table.remove(hold)
        feed.publish(hold.name, { _tag: "Unregistered", registration: hold.registration, reason })
      }
      if (!telemetry.enabled("service_registry.unregister")) return
      const duration = (monotonicMicros(hold.clock) - hold.since) / 1000
      telemetry.emit(
        "service_registry.unregister",
        { count: 1, duration },
        { name: hold.name, kind: hold.kind, reason }
      )
    }

    /** Ends what a dead fiber held. Its observers run in no fiber of ours, so the release runs in one of its own. */
    const bury = (hold: Hold): void => {
      end(hold, "ended")
      if (hold.slot !== undefined) Runtime.runFork(runtime)(Scope.close(hold.slot, Exit.void))
    }
    const lifelines = new Lifelines<Hold>(bury)

    /** Ties the hold to the scope. An address cannot end before its scope does, and is spared the slot (600 bytes). */
    const keep = (hold: Hold, scope: Scope.Scope): Effect.Effect<void> => {
      const release = Effect.suspend(() => {
        end(hold, isAlive(hold.process) ? "closed" : "ended")
        return backend.release(hold)
      })
      if (hold.process instanceof URL) return Scope.addFinalizer(scope, release)
      return Effect.flatMap(Scope.fork(scope, ExecutionStrategy.sequential), (slot) => {
        hold.slot = slot
        // The fiber may have ended since the step that entered it, when there was no slot to close yet.
        return Effect.zipRight(
          Scope.addFinalizer(slot, release),
          Effect.suspend(() => (hold.ended ? Scope.close(slot, Exit.void) : Effect.void))
        )
      })
    }

    const begin = (hold: Hold): void => {
      if (!(hold.process instanceof URL)) lifelines.add(hold.process, hold)
      if (hold.kind === "name") {
        feed.publish(hold.name, { _tag: "Registered", registration: hold.registration })
        waiters.wake(hold.name, hold.registration)
      }
      telemetry.emit("service_registry.register", { count: 1 }, { name: hold.name, kind: hold.kind })
    }

    const refusalOf = (claim: Claim): RegistryError | undefined => {
      if (!isAlive(claim.process)) return Failures.endedProcess(claim.name)
      return table.size >= capacity ? Failures.registryFull(claim.name, capacity) : undefined
    }

    const heldOf = ({ name, process }: Claim, token: number, clock: Clock.Clock): Held => ({
      name,
      process,
      token,
      clock,
      since: monotonicMicros(clock),
      ended: false,
      slot: undefined
    })

    const enterName: Enter<HeldName, AlreadyRegistered | RegistryError> = (claim, token, clock) => {
      // A loop, since whoever is told of the burial may take the name.
      for (let holder = table.holder(claim.name); holder !== undefined; holder = table.holder(claim.name)) {
        if (isAlive(holder.process))
          return Either.left(Failures.alreadyRegistered(claim.name, holder.registration.metadata))
        bury(holder)
      }
      const refusal = refusalOf(claim)
      if (refusal !== undefined) return Either.left(refusal)
      const { name, process, metadata } = claim
      const registeredAt = clock.unsafeCurrentTimeMillis()
      const registration = Object.freeze({ name, process, metadata, token, registeredAt })
      const hold: HeldName = { kind: "name", ...heldOf(claim, token, clock), registration }
      table.put(hold)
      begin(hold)
      return Either.right(hold)
    }

    const enterSeat: Enter<HeldSeat, RegistryError> = (claim, token, clock) => {
      const refusal = refusalOf(claim)
      if (refusal !== undefined) return Either.left(refusal)
      const { name, process, metadata } = claim
      const joinedAt = clock.unsafeCurrentTimeMillis()
      const seat = table.join(Object.freeze({ group: name, process, metadata, token, joinedAt }))
      const hold: HeldSeat = { kind: "group", ...heldOf(claim, token, clock), seat }
      begin(hold)
      return Either.right(hold)
    }

    /**
     * From the claim to the finalizer nothing can be interrupted (see the callers). A fiber may well yield between them:
     * what must be one step is in `enter`.
     */
    const hold = <H extends Hold, E1, E2>(
      claim: Claim | RegistryError,
      ask: (claim: Claim) => Effect.Effect<number, E1>,
      enter: Enter<H, E2>
    ): Effect.Effect<H, E1 | E2 | RegistryError, Scope.Scope> => {
      if (claim instanceof RegistryError) return Effect.fail(claim)
      return Effect.flatMap(Effect.scope, (scope) =>
        Effect.flatMap(ask(claim), (token) =>
          Effect.withFiberRuntime<H, E2>((fiber) => {
            const entered = enter(claim, token, clockOf(fiber))
            return Either.isRight(entered)
              ? Effect.as(keep(entered.right, scope), entered.right)
              : Effect.zipRight(
                  backend.release({ kind: claim.kind, name: claim.name, token }),
                  Effect.fail(entered.left)
                )
          })
        )
      )
    }

    const register: ServiceRegistry.Service["register"] = (name, process, metadata = noMetadata) =>
      Effect.suspend(() => hold(acceptClaim("name", name, process, metadata), backend.claim, enterName)).pipe(
        Effect.map((held) => held.registration),
        Effect.tapErrorTag("AlreadyRegistered", () =>
          Effect.sync(() => telemetry.emit("service_registry.conflict", { count: 1 }, { name }))
        ),
        Effect.uninterruptible
      )

    const join: ServiceRegistry.Service["join"] = (group, process, metadata = noMetadata) =>
      Effect.suspend(() => hold(acceptClaim("group", group, process, metadata), backend.join, enterSeat)).pipe(
        Effect.map((held) => held.seat.member),
        Effect.uninterruptible
      )

    const update: ServiceRegistry.Service["update"] = (name, metadata) =>
      Effect.suspend(() => {
        const copied = copyMetadata(name, metadata)
        if (copied instanceof RegistryError) return Effect.fail(copied)
        const holder = table.holder(name)
        if (holder === undefined) return Effect.fail(Failures.notFound(name))
        return Effect.flatMap(backend.update(holder, copied), () => {
          // It may have ended while the backend was busy, and the name may be with another.
          if (holder.ended || !isAlive(holder.process)) return Effect.fail(Failures.notFound(name))
          const registration = Object.freeze({ ...holder.registration, metadata: copied })
          holder.registration = registration
          feed.publish(name, { _tag: "Updated", registration })
          return Effect.succeed(registration)
        })
      }).pipe(Effect.uninterruptible)

    const waitFor: ServiceRegistry.Service["waitFor"] = (name) =>
      Effect.async((resume) => {
        const refusal = refuseName(name)
        if (refusal !== undefined) return resume(Effect.fail(refusal))
        const found = table.find(name)
        if (found !== undefined) return resume(Effect.succeed(found))
        const forget = waiters.add(name, (registration) => resume(Effect.succeed(registration)))
        return Effect.sync(forget)
      })

    return {
      register,
      join,
      update,
      waitFor,
      unsafeLookup: (name) => table.find(name),
      lookup: (name) =>
        Effect.suspend(() => {
          const found = table.find(name)
          return found === undefined ? Effect.fail(Failures.notFound(name)) : Effect.succeed(found)
        }),
      lookupOption: (name) => Effect.sync(() => Option.fromNullable(table.find(name))),
      list: (options = {}) => Effect.sync(() => table.list(options)),
      watch: (options = {}) => watchStream(feed, (selection) => table.list(selection), options),
      members: (group) => Effect.sync(() => table.group(group)?.members() ?? []),
      pick: (group, strategy = "round-robin") =>
        Effect.flatMap(
          pickFrom(() => table.group(group), strategy),
          (member) => (member === undefined ? Effect.fail(Failures.nobodyIn(group)) : Effect.succeed(member))
        )
    }
  })
