import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Either, Exit, Fiber, Layer, Option, Ref, Scope, Stream } from "effect"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import { Telemetry } from "effect-foundation/Telemetry"
import * as fc from "fast-check"

const names = ["a", "b", "c"]
const groups = ["g", "h"]
const processes = 5

/** Process 0 is an address; the others are fibers, and a fiber that has ended is replaced by a new one. */
const step = fc.oneof(
  fc.record({ do: fc.constant("register" as const), name: fc.nat(2), process: fc.nat(processes - 1) }),
  fc.record({ do: fc.constant("register" as const), name: fc.nat(2), process: fc.nat(processes - 1) }),
  fc.record({ do: fc.constant("join" as const), group: fc.nat(1), process: fc.nat(processes - 1) }),
  fc.record({ do: fc.constant("close" as const), scope: fc.nat() }),
  fc.record({
    do: fc.constant("end" as const),
    process: fc.integer({ min: 1, max: processes - 1 }),
    how: fc.constantFrom("succeed" as const, "fail" as const, "die" as const, "interrupt" as const)
  }),
  fc.record({ do: fc.constant("update" as const), name: fc.nat(2), version: fc.nat() }),
  fc.record({ do: fc.constant("pick" as const), group: fc.nat(1) }),
  fc.record({ do: fc.constant("read" as const) }),
  fc.record({ do: fc.constant("yield" as const) })
)
type Step = typeof step extends fc.Arbitrary<infer A> ? A : never

/** What the registry ought to hold, kept in the plainest way. */
interface Held {
  readonly kind: "name" | "group"
  readonly name: string
  readonly token: number
  readonly process: number
  readonly scope: Scope.CloseableScope
  metadata: ServiceRegistry.Metadata
}

const spawn = Effect.gen(function* () {
  const end = yield* Deferred.make<void, string>()
  return { end, fiber: yield* Effect.forkDaemon(Deferred.await(end)) }
})

/** What a watcher knows from what it was told. */
type View = ReadonlyMap<string, ServiceRegistry.Registration>

const fold = (view: View, change: ServiceRegistry.Change): View => {
  if (change._tag === "Snapshot") return new Map(change.registrations.map((one) => [one.name, one]))
  const next = new Map(view)
  const { name, token } = change.registration
  const known = view.get(name)
  if (change._tag === "Registered") {
    // Nothing was missed between: the name was free.
    expect(known).toBeUndefined()
    next.set(name, change.registration)
  } else {
    expect(known?.token).toBe(token)
    if (change._tag === "Updated") next.set(name, change.registration)
    else next.delete(name)
  }
  return next
}

const run = (steps: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    const registry = yield* ServiceRegistry
    const workers = yield* Effect.replicateEffect(spawn, processes)
    const address = new URL("http://localhost")
    const processOf = (index: number) => (index === 0 ? address : (workers[index]?.fiber ?? address))

    let held: Array<Held> = []
    const scopes: Array<Scope.CloseableScope> = []
    // Of each group, whose turn comes when: by token, the next one first.
    const turns = new Map<string, Array<number>>(groups.map((group) => [group, []]))
    const drop = (gone: (one: Held) => boolean) => {
      for (const [group, queue] of turns) {
        const left = new Set(held.filter((one) => gone(one)).map((one) => one.token))
        turns.set(
          group,
          queue.filter((token) => !left.has(token))
        )
      }
      held = held.filter((one) => !gone(one))
    }

    // One watcher reads as fast as it can, the other only now and then, and has a buffer of two.
    const fast = yield* Ref.make<View>(new Map())
    const fastFiber = yield* registry.watch().pipe(
      Stream.takeUntilEffect((change) =>
        Effect.map(
          Ref.updateAndGet(fast, (view) => fold(view, change)),
          (view) => view.has("end")
        )
      ),
      Stream.runDrain,
      Effect.fork
    )
    const pull = yield* Stream.toPull(registry.watch({ buffer: 2 }))
    let slow: View = new Map()
    const read = Effect.flatMap(pull, (changes) =>
      Effect.sync(() => {
        slow = Chunk.reduce(changes, slow, fold)
      })
    )
    let reading: Fiber.RuntimeFiber<void, unknown> | undefined

    for (const [index, one] of steps.entries()) {
      switch (one.do) {
        case "register": {
          const name = names[one.name] ?? "a"
          const scope = yield* Scope.make()
          const result = yield* Effect.either(
            Scope.extend(registry.register(name, processOf(one.process), { index }), scope)
          )
          const holder = held.find((other) => other.kind === "name" && other.name === name)
          expect(Either.isRight(result)).toBe(holder === undefined)
          if (Either.isLeft(result)) {
            expect(result.left).toMatchObject({ _tag: "AlreadyRegistered", service: name, holder: holder?.metadata })
            break
          }
          const { metadata, token } = result.right
          held.push({ kind: "name", name, token, process: one.process, scope, metadata })
          scopes.push(scope)
          break
        }
        case "join": {
          const group = groups[one.group] ?? "g"
          const scope = yield* Scope.make()
          const { metadata, token } = yield* Scope.extend(
            registry.join(group, processOf(one.process), { index }),
            scope
          )
          held.push({ kind: "group", name: group, token, process: one.process, scope, metadata })
          turns.get(group)?.push(token)
          scopes.push(scope)
          break
        }
        case "close": {
          const scope = scopes[one.scope % Math.max(1, scopes.length)]
          if (scope === undefined) break
          yield* Scope.close(scope, Exit.void)
          drop((other) => other.scope === scope)
          break
        }
        case "end": {
          const worker = workers[one.process]
          if (worker === undefined) break
          if (one.how === "succeed") yield* Deferred.succeed(worker.end, undefined)
          else if (one.how === "fail") yield* Deferred.fail(worker.end, "failed")
          else if (one.how === "die") yield* Deferred.die(worker.end, "died")
          else yield* Fiber.interrupt(worker.fiber)
          yield* Fiber.await(worker.fiber)
          drop((other) => other.process === one.process)
          workers[one.process] = yield* spawn
          break
        }
        case "update": {
          const name = names[one.name] ?? "a"
          const result = yield* Effect.either(registry.update(name, { version: one.version }))
          const holder = held.find((other) => other.kind === "name" && other.name === name)
          expect(Either.isRight(result)).toBe(holder !== undefined)
          if (holder !== undefined) holder.metadata = { version: one.version }
          break
        }
        case "pick": {
          const group = groups[one.group] ?? "g"
          const picked = yield* Effect.option(registry.pick(group))
          const [turn, ...others] = turns.get(group) ?? []
          expect(Option.getOrUndefined(picked)?.token).toBe(turn)
          if (turn !== undefined) turns.set(group, [...others, turn])
          break
        }
        case "read": {
          if (reading === undefined || reading.unsafePoll() !== null) reading = yield* Effect.fork(read)
          break
        }
        case "yield":
          yield* Effect.yieldNow()
      }
      for (const name of names) {
        const holder = held.find((other) => other.kind === "name" && other.name === name)
        const found = Option.getOrUndefined(yield* registry.lookupOption(name))
        expect(found?.token).toBe(holder?.token)
        expect(found?.metadata).toEqual(holder?.metadata)
      }
      const listed = (yield* registry.list()).map((other) => other.token)
      expect(listed).toEqual(held.filter((other) => other.kind === "name").map((other) => other.token))
      for (const group of groups) {
        const members = (yield* registry.members(group)).map((member) => member.token)
        expect(members).toEqual(
          held.filter((other) => other.kind === "group" && other.name === group).map((other) => other.token)
        )
      }
    }

    yield* registry.register("end", address)
    const truth = new Map((yield* registry.list()).map((one) => [one.name, one]))
    yield* Fiber.join(fastFiber)
    expect(yield* Ref.get(fast)).toEqual(truth)
    if (reading !== undefined) yield* Fiber.join(reading)
    while (!slow.has("end")) yield* read
    expect(slow).toEqual(truth)
    for (const { fiber } of workers) yield* Fiber.interrupt(fiber)
  }).pipe(Effect.scoped, Effect.provide(Layer.provide(ServiceRegistry.layer, Telemetry.layer)))

describe("the registry beside a naive model", () => {
  it("agrees after every step of any sequence, and its watchers end with the true state", () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), (steps) => Effect.runPromise(run(steps))),
      { numRuns: 100 }
    ))
})
