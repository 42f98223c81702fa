import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { RegistryError } from "effect-foundation/FoundationError"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import { Telemetry } from "effect-foundation/Telemetry"

/** A backend that tells what it was asked, grants when it is told to, and can be away. */
const recording = Effect.gen(function* () {
  const gate = yield* Deferred.make<void>()
  const asked: Array<string> = []
  let last = 100
  let away = false
  const unlessAway = <A>(effect: Effect.Effect<A>) =>
    Effect.suspend(() =>
      away ? new RegistryError({ reason: "storage_unavailable", message: "the store does not answer" }) : effect
    )
  const grant = (what: string) =>
    unlessAway(
      Effect.zipRight(
        Deferred.await(gate),
        Effect.sync(() => {
          asked.push(`${what} ${++last}`)
          return { token: last }
        })
      )
    )
  const backend: ServiceRegistry.Backend = {
    claim: ({ name }) => grant(`claim ${name}`),
    join: ({ name }) => grant(`join ${name}`),
    update: ({ name, token }) => unlessAway(Effect.sync(() => asked.push(`update ${name} ${token}`))),
    release: ({ kind, name, token }) => Effect.sync(() => void asked.push(`release ${kind} ${name} ${token}`))
  }
  const registry = yield* ServiceRegistry.make(backend)
  const open = Deferred.succeed(gate, undefined)
  const goAway = Effect.sync(() => {
    away = true
  })
  return { registry, asked, open, goAway }
}).pipe(Effect.provide(Telemetry.layer))

const url = "http://localhost"

describe("a registry over a backend", () => {
  it.effect("holds a name when the backend has granted it, under its token, and releases it once", () =>
    Effect.gen(function* () {
      const { asked, open, registry } = yield* recording
      const scope = yield* Scope.make()
      const registering = yield* Effect.fork(Scope.extend(registry.register("x", url), scope))
      yield* Effect.yieldNow()
      expect(registry.unsafeLookup("x")).toBeUndefined()
      yield* open
      expect((yield* Fiber.join(registering)).token).toBe(101)
      expect(registry.unsafeLookup("x")?.token).toBe(101)
      yield* Scope.extend(registry.join("g", url), scope)
      yield* registry.update("x", { v: 1 })
      yield* Scope.close(scope, Exit.void)
      expect(asked).toEqual(["claim x 101", "join g 102", "update x 101", "release group g 102", "release name x 101"])
    })
  )

  it.effect("releases the claim of a fiber that ends, once, and not again with the scope", () =>
    Effect.gen(function* () {
      const { asked, open, registry } = yield* recording
      yield* open
      const scope = yield* Scope.make()
      const fiber = yield* Effect.fork(Effect.never)
      yield* Scope.extend(registry.register("x", fiber), scope)
      yield* Fiber.interrupt(fiber)
      expect(asked).toEqual(["claim x 101", "release name x 101"])
      yield* Scope.close(scope, Exit.void)
      expect(asked).toHaveLength(2)
    })
  )

  it.effect("gives back what was granted to a fiber that ended meanwhile", () =>
    Effect.gen(function* () {
      const { asked, open, registry } = yield* recording
      const fiber = yield* Effect.fork(Effect.never)
      const registering = yield* Effect.fork(Effect.scoped(registry.register("x", fiber)))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      yield* open
      expect(yield* Effect.flip(Fiber.join(registering))).toMatchObject({ reason: "invalid_process" })
      expect(asked).toEqual(["claim x 101", "release name x 101"])
    })
  )

  it.effect("gives back what was granted to an interrupted caller", () =>
    Effect.gen(function* () {
      const { asked, open, registry } = yield* recording
      const registering = yield* Effect.fork(Effect.scoped(registry.register("x", url)))
      yield* Effect.yieldNow()
      yield* Fiber.interruptFork(registering)
      yield* open
      yield* Fiber.await(registering)
      expect(registry.unsafeLookup("x")).toBeUndefined()
      expect(asked).toEqual(["claim x 101", "release name x 101"])
    })
  )

  it.effect("gives back a second grant of a name that is held here", () =>
    Effect.gen(function* () {
      const { asked, open, registry } = yield* recording
      yield* open
      const scope = yield* Scope.make()
      yield* Scope.extend(registry.register("x", url, { is: "first" }), scope)
      const error = yield* Effect.flip(Scope.extend(registry.register("x", url), scope))
      expect(error).toMatchObject({ _tag: "AlreadyRegistered", holder: { is: "first" } })
      expect(asked).toEqual(["claim x 101", "claim x 102", "release name x 102"])
      expect(registry.unsafeLookup("x")?.token).toBe(101)
    })
  )

  it.effect("while it is away, claims and updates fail and reads go on", () =>
    Effect.gen(function* () {
      const { goAway, open, registry } = yield* recording
      yield* open
      yield* registry.register("x", url, { v: 1 })
      yield* goAway
      const unavailable = { _tag: "RegistryError", reason: "storage_unavailable" }
      expect(yield* Effect.flip(registry.register("y", url))).toMatchObject(unavailable)
      expect(yield* Effect.flip(registry.join("g", url))).toMatchObject(unavailable)
      expect(yield* Effect.flip(registry.update("x", { v: 2 }))).toMatchObject(unavailable)
      expect((yield* registry.lookup("x")).metadata).toEqual({ v: 1 })
    }).pipe(Effect.scoped)
  )
})
