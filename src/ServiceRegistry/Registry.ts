import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { type AlreadyRegistered, RegistryError, type ServiceNotFound } from "../FoundationError.js"
import { clockOf } from "../internal/monotonic.js"
import type { ServiceRegistry } from "../ServiceRegistry.js"
import { Telemetry } from "../Telemetry.js"
import { acceptClaim, copyMetadata, refuseName } from "./Accept.js"
import type { Backend, Claim, Grant } from "./Backend.js"
import * as Failures from "./Failures.js"
import type { HeldName, HeldSeat, Hold } from "./Hold.js"
import { noMetadata } from "./Metadata.js"
import { pickFrom } from "./Pick.js"
import { counts, isAlive, type Member, type Registration } from "./Registration.js"
import type { Replica } from "./Replica.js"
import { Roll } from "./Roll.js"
import { watchStream } from "./Watch.js"

/** Puts a granted claim into the table, or says why not: one step, in which nothing else runs. */
type Enter<H extends Hold, E> = (claim: Claim, grant: Grant, clock: Clock.Clock) => Either.Either<H, E>

export interface Registry {
  readonly service: ServiceRegistry.Service
  /** For a backend that is shared: how it changes the table. */
  readonly replica: Replica
}

export const makeRegistry = (backend: Backend, capacity: number): Effect.Effect<Registry, never, Telemetry> =>
  Effect.gen(function* () {
    const telemetry = yield* Telemetry
    const clock = yield* Effect.clock
    const { shared } = backend
    const roll = new Roll(telemetry, shared, clock, yield* Effect.runtime<never>())
    const { feed, mourners, table, waiters } = roll

    /** Ties the hold to the scope. An address cannot end before its scope does, and is spared the slot (600 bytes). */
    const keep = (hold: Hold, scope: Scope.Scope): Effect.Effect<void> => {
      const release = Effect.suspend(() => {
        roll.end(hold, isAlive(hold.process) ? "closed" : "ended")
        return backend.release(hold)
      })
      if (hold.process instanceof URL) return Scope.addFinalizer(scope, release)
      return Effect.flatMap(Scope.fork(scope, ExecutionStrategy.sequential), (slot) => {
        hold.slot = slot
        // The fiber may have ended since the step that entered it, when there was no slot to close yet.
        return Effect.zipRight(
          Scope.addFinalizer(slot, release),
          Effect.suspend(() => (hold.state === "over" ? Scope.close(slot, Exit.void) : Effect.void))
        )
      })
    }

    const refusalOf = (claim: Claim): RegistryError | undefined => {
      if (!isAlive(claim.process)) return Failures.endedProcess(claim.name)
      return table.size >= capacity ? Failures.registryFull(claim.name, capacity) : undefined
    }

    const enterName: Enter<HeldName, AlreadyRegistered | RegistryError> = (claim, grant, clock) => {
      // A loop, since whoever is told of an end may take the name.
      for (let holder = table.holder(claim.name); holder !== undefined; holder = table.holder(claim.name)) {
        if (holder.isOwn ? counts(holder.process, holder.lease) : holder.token > grant.token) {
          return Either.left(Failures.alreadyRegistered(claim.name, holder.registration.metadata))
        }
        if (!holder.isOwn) roll.end(holder, grant.former ?? "lost")
        else if (isAlive(holder.process)) roll.lapse(holder, "expired")
        else roll.bury(holder)
      }
      const refusal = refusalOf(claim)
      return refusal === undefined
        ? Either.right(roll.enter({ ...claim, kind: "name" }, grant, clock, true))
        : Either.left(refusal)
    }

    const enterSeat: Enter<HeldSeat, RegistryError> = (claim, grant, clock) => {
      const refusal = refusalOf(claim)
      return refusal === undefined
        ? Either.right(roll.enter({ ...claim, kind: "group" }, grant, clock, true))
        : Either.left(refusal)
    }

    /**
     * From the claim to the finalizer nothing can be interrupted (see the callers). A fiber may well yield between them:
     * what must be one step is in `enter`.
     */
    const hold = <H extends Hold, E1, E2>(
      claim: Claim | RegistryError,
      ask: (claim: Claim) => Effect.Effect<Grant, E1>,
      enter: Enter<H, E2>
    ): Effect.Effect<H, E1 | E2 | RegistryError, Scope.Scope> => {
      if (claim instanceof RegistryError) return Effect.fail(claim)
      return Effect.flatMap(Effect.scope, (scope) =>
        Effect.flatMap(ask(claim), (grant) =>
          Effect.withFiberRuntime<H, E2 | RegistryError>((fiber) => {
            const isLate = grant.lease !== undefined && !grant.lease.holds()
            const entered: Either.Either<H, E2 | RegistryError> = isLate
              ? Either.left(Failures.leaseOver(claim.name))
              : enter(claim, grant, shared === undefined ? clockOf(fiber) : clock)
            return Either.isRight(entered)
              ? Effect.as(keep(entered.right, scope), entered.right)
              : Effect.zipRight(
                  backend.release({ kind: claim.kind, name: claim.name, token: grant.token }),
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
        if (holder === undefined || !counts(holder.process, holder.lease)) return Effect.fail(Failures.notFound(name))
        return Effect.flatMap(backend.update(holder, copied), (revision) => {
          // It may have ended while the backend was busy, and the name may be with another.
          if (holder.state !== "in" || !isAlive(holder.process)) return Effect.fail(Failures.notFound(name))
          roll.change(holder, copied, revision)
          return Effect.succeed(holder.registration)
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

    const isValid = (one: Registration | Member): boolean =>
      "group" in one ? (table.group(one.group)?.has(one.token) ?? false) : table.find(one.name)?.token === one.token

    const ended: ServiceRegistry.Service["ended"] = (one) =>
      Effect.async((resume) => {
        if (!isAlive(one.process)) return resume(Effect.succeed("ended"))
        if (!isValid(one)) return resume(Effect.succeed("lost"))
        const forget = mourners.add(String(one.token), (reason) => resume(Effect.succeed(reason)))
        return Effect.sync(forget)
      })

    /** What is found, unless it is of another process, or nothing, and too old. */
    const fresh = (name: string): Registration | RegistryError | undefined => {
      const found = table.find(name)
      if (shared === undefined || (found !== undefined && table.holder(name)?.isOwn === true)) return found
      return shared.refusal(name) ?? found
    }

    const service: ServiceRegistry.Service = {
      register,
      join,
      update,
      waitFor,
      ended,
      isValid: (one) => Effect.sync(() => isValid(one)),
      unsafeLookup: (name) => {
        const found = fresh(name)
        return found instanceof RegistryError ? undefined : found
      },
      lookup: (name) =>
        Effect.suspend((): Effect.Effect<Registration, ServiceNotFound | RegistryError> => {
          const found = fresh(name)
          if (found === undefined) return Effect.fail(Failures.notFound(name))
          return found instanceof RegistryError ? Effect.fail(found) : Effect.succeed(found)
        }),
      lookupOption: (name) =>
        Effect.suspend(() => {
          const found = fresh(name)
          return found instanceof RegistryError ? Effect.fail(found) : Effect.succeed(Option.fromNullable(found))
        }),
      list: (options = {}) => Effect.sync(() => table.list(options)),
      watch: (options = {}) => watchStream(feed, (selection) => table.list(selection), options),
      members: (group) => Effect.sync(() => table.group(group)?.members() ?? []),
      pick: (group, strategy = "round-robin") =>
        Effect.suspend((): Effect.Effect<Member, ServiceNotFound | RegistryError> => {
          const refusal = shared?.refusal(group)
          if (refusal !== undefined) return Effect.fail(refusal)
          return Effect.flatMap(
            pickFrom(() => table.group(group), strategy),
            (member) => (member === undefined ? Effect.fail(Failures.nobodyIn(group)) : Effect.succeed(member))
          )
        }),
      staleness: Effect.sync(() => Duration.micros(BigInt(shared?.staleness() ?? 0)))
    }
    return { service, replica: roll.replica }
  })
