import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, FiberId, Layer, Scheduler, Scope } from "effect"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import { Telemetry } from "effect-foundation/Telemetry"

const registryLayer = Layer.provide(ServiceRegistry.layer, Telemetry.layer)

/**
 * Runs the effect in steps of so many operations, interrupts it after the first `steps`, and lets it end. Answers with
 * the fiber, and whether it had already ended by itself.
 */
const interruptAfter = <A, E>(effect: Effect.Effect<A, E>, operations: number, steps: number) => {
  const scheduler = new Scheduler.ControlledScheduler()
  const fiber = Effect.runFork(Effect.withMaxOpsBeforeYield(effect, operations), { scheduler })
  for (let step = 0; step < steps; step++) scheduler.step()
  const ended = fiber.unsafePoll() !== null
  fiber.unsafeInterruptAsFork(FiberId.none)
  for (let step = 0; step < 1000 && fiber.unsafePoll() === null; step++) scheduler.step()
  return { fiber, ended }
}

/** Every number of operations a step (a yield alone takes eight), at every step, until the effect ends by itself. */
const everywhere = (attack: (operations: number, steps: number) => { readonly ended: boolean }): number => {
  let points = 0
  for (let operations = 10; operations < 40; operations++) {
    for (let steps = 0; !attack(operations, steps).ended; steps++) {
      points++
      expect(steps).toBeLessThan(500)
    }
  }
  return points
}

describe("interruption of a registration", () => {
  const withRegistry = (
    body: (registry: ServiceRegistry.Service, worker: Fiber.RuntimeFiber<never>) => Effect.Effect<void>
  ) =>
    Effect.scoped(
      Effect.gen(function* () {
        const registry = Context.get(yield* Layer.build(registryLayer), ServiceRegistry)
        const worker = yield* Effect.forkScoped(Effect.never)
        yield* body(registry, worker)
      })
    )

  for (const kind of ["fiber", "address"] as const) {
    it.effect(`in a scope of its own leaves no name and no place, wherever it strikes (${kind})`, () =>
      withRegistry((registry, worker) =>
        Effect.sync(() => {
          const process = kind === "fiber" ? worker : new URL("http://localhost")
          let points = 0
          let registered = 0
          points += everywhere((operations, steps) => {
            const { ended } = interruptAfter(
              Effect.scoped(
                Effect.gen(function* () {
                  yield* registry.register("x", process)
                  registered++
                  yield* registry.join("g", process)
                })
              ),
              operations,
              steps
            )
            expect(registry.unsafeLookup("x")).toBeUndefined()
            expect(Effect.runSync(registry.members("g"))).toEqual([])
            return { ended }
          })
          // The attack hit before, within and after the registration.
          expect(registered).toBeGreaterThan(0)
          expect(registered).toBeLessThan(points)
        })
      )
    )

    it.effect(`in a scope that stays open leaves no name once that scope is closed (${kind})`, () =>
      withRegistry((registry, worker) =>
        Effect.sync(() => {
          const process = kind === "fiber" ? worker : new URL("http://localhost")
          let held = 0
          const points = everywhere((operations, steps) => {
            const scope = Effect.runSync(Scope.make())
            const { ended, fiber } = interruptAfter(
              Scope.extend(registry.register("x", process), scope),
              operations,
              steps
            )
            const found = registry.unsafeLookup("x")
            if (found !== undefined) held++
            const exit = fiber.unsafePoll()
            if (exit !== null && Exit.isSuccess(exit)) expect(found).toBeDefined()
            Effect.runSync(Scope.close(scope, Exit.void))
            expect(registry.unsafeLookup("x")).toBeUndefined()
            return { ended }
          })
          expect(held).toBeGreaterThan(0)
          expect(held).toBeLessThan(points)
        })
      )
    )
  }

  it.effect("replaced by an end of the registered fiber leaves no name either, and nothing in the scope", () =>
    withRegistry((registry) =>
      Effect.sync(() => {
        let before = 0
        let after = 0
        everywhere((operations, steps) => {
          const [registering, living] = [new Scheduler.ControlledScheduler(), new Scheduler.ControlledScheduler()]
          const worker = Effect.runFork(Effect.never, { scheduler: living })
          const scope = Effect.runSync(Scope.make())
          const fiber = Effect.runFork(
            Scope.extend(registry.register("x", worker), scope).pipe(Effect.withMaxOpsBeforeYield(operations)),
            { scheduler: registering }
          )
          for (let step = 0; step < steps; step++) registering.step()
          const ended = fiber.unsafePoll() !== null
          worker.unsafeInterruptAsFork(FiberId.none)
          while (worker.unsafePoll() === null) living.step()
          expect(registry.unsafeLookup("x")).toBeUndefined()
          while (fiber.unsafePoll() === null) registering.step()
          expect(registry.unsafeLookup("x")).toBeUndefined()
          const exit = fiber.unsafePoll()
          if (exit !== null && Exit.isSuccess(exit)) after++
          else before++
          // The state of a scope is not in its type.
          const { finalizers } = Reflect.get(scope, "state") as { readonly finalizers: ReadonlyMap<unknown, unknown> }
          expect(finalizers.size).toBe(0)
          return { ended }
        })
        expect(before).toBeGreaterThan(0)
        expect(after).toBeGreaterThan(0)
      })
    )
  )

  it.effect("of the fiber that registers itself leaves nothing", () =>
    withRegistry((registry) =>
      Effect.sync(() => {
        everywhere((operations, steps) => {
          const { ended } = interruptAfter(
            Effect.withFiberRuntime<unknown, unknown>((self) => Effect.scoped(registry.register("self", self))),
            operations,
            steps
          )
          expect(registry.unsafeLookup("self")).toBeUndefined()
          return { ended }
        })
      })
    )
  )

  it.effect("of a waiter takes it out, and the others are woken", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        const waiters = yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.fork(registry.waitFor("x")))
        yield* Effect.yieldNow()
        yield* Effect.forEach(waiters, (waiter, index) => (index % 2 === 0 ? Fiber.interrupt(waiter) : Effect.void))
        const registered = yield* Effect.scoped(registry.register("x", "http://localhost"))
        for (const [index, waiter] of waiters.entries()) {
          const exit = yield* Fiber.await(waiter)
          if (index % 2 === 0) expect(Exit.isInterrupted(exit)).toBe(true)
          else expect(exit).toEqual(Exit.succeed(registered))
        }
      }).pipe(Effect.orDie)
    )
  )
})
