import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Either, Exit, Fiber, Layer, Option, Random, Ref, Scope, Stream } from "effect"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import { Telemetry } from "effect-foundation/Telemetry"

const url = "http://localhost:8080"

export interface ContractOptions {
  /** Whether time passes, as it does for a backend that waits for others. */
  readonly live?: boolean
}

/** What every backend of the registry must do; `layer` makes an empty registry each time it is built. */
export const serviceRegistryContract = (
  name: string,
  layer: Layer.Layer<ServiceRegistry, unknown, Telemetry>,
  { live = false }: ContractOptions = {}
): void => {
  const run = live ? it.scopedLive : it.scoped
  const test = (
    title: string,
    body: () => Effect.Effect<unknown, unknown, ServiceRegistry | Telemetry | Scope.Scope>
  ) => run(title, () => Effect.provide(body(), Layer.provideMerge(Layer.fresh(layer), Telemetry.layer)))

  /** A fiber that ends as it is told to. */
  const worker = Effect.gen(function* () {
    const end = yield* Deferred.make<string, string>()
    const fiber = yield* Effect.forkDaemon(Deferred.await(end))
    yield* Effect.addFinalizer(() => Fiber.interrupt(fiber))
    return { fiber, end }
  })

  const isRegistered = (service: string) => Effect.map(ServiceRegistry.lookupOption(service), Option.isSome)

  describe(`ServiceRegistry on ${name}`, () => {
    describe("register", () => {
      test("a registered address is looked up with its metadata", () =>
        Effect.gen(function* () {
          const registered = yield* ServiceRegistry.register("auth", new URL(url), { region: "eu", ports: [1, 2] })
          const found = yield* ServiceRegistry.lookup("auth")
          expect(found).toEqual(registered)
          expect(found.name).toBe("auth")
          expect(String(found.process)).toBe(`${url}/`)
          expect(found.metadata).toEqual({ region: "eu", ports: [1, 2] })
          expect(found.token).toBeGreaterThan(0)
        }))

      test("a registered fiber is answered as that fiber", () =>
        Effect.gen(function* () {
          const { fiber } = yield* worker
          yield* ServiceRegistry.register("worker", fiber)
          expect((yield* ServiceRegistry.lookup("worker")).process).toBe(fiber)
        }))

      test("of 1,000 racing registrations of one name exactly one wins, and the others see its metadata", () =>
        Effect.gen(function* () {
          const results = yield* Effect.forEach(
            Array.from({ length: 1000 }, (_, index) => index),
            (index) =>
              // Each fiber yields after its own number of operations (a yield alone is some 8), so they interleave at every step.
              ServiceRegistry.register("leader", url, { index }).pipe(
                Effect.either,
                Effect.withMaxOpsBeforeYield(20 + (index % 13))
              ),
            { concurrency: "unbounded" }
          )
          const winners = results.filter(Either.isRight)
          expect(winners).toHaveLength(1)
          const winner = winners[0]?.right
          expect(yield* ServiceRegistry.lookup("leader")).toEqual(winner)
          for (const result of results) {
            if (Either.isRight(result)) continue
            expect(result.left).toMatchObject({
              _tag: "AlreadyRegistered",
              code: "already_registered",
              service: "leader",
              holder: winner?.metadata
            })
          }
        }))

      test("while registrations and ends of one name race, it never has two holders", () =>
        Effect.gen(function* () {
          const holders = yield* Ref.make(0)
          const won = yield* Ref.make(0)
          yield* Effect.forEach(
            Array.from({ length: 30 }, (_, index) => index),
            (index) =>
              Effect.gen(function* () {
                yield* ServiceRegistry.register("leader", url)
                yield* Effect.acquireRelease(
                  Ref.updateAndGet(holders, (n) => n + 1),
                  () => Ref.update(holders, (n) => n - 1)
                ).pipe(Effect.tap((now) => Effect.sync(() => expect(now).toBe(1))))
                yield* Ref.update(won, (n) => n + 1)
                yield* Effect.yieldNow()
              }).pipe(
                Effect.scoped,
                Effect.withMaxOpsBeforeYield(20 + (index % 11)),
                Effect.catchTag("AlreadyRegistered", () => Effect.yieldNow()),
                Effect.repeatN(5)
              ),
            { concurrency: "unbounded" }
          )
          expect(yield* Ref.get(won)).toBeGreaterThan(1)
          expect(yield* isRegistered("leader")).toBe(false)
        }))

      test("a registration ends with its scope", () =>
        Effect.gen(function* () {
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* ServiceRegistry.register("auth", url)
              expect(yield* isRegistered("auth")).toBe(true)
            })
          )
          expect(yield* isRegistered("auth")).toBe(false)
          yield* ServiceRegistry.register("auth", url)
        }))

      test("a registration in a scope that is closed already is over at once", () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          yield* Scope.close(scope, Exit.void)
          const { fiber } = yield* worker
          yield* Scope.extend(ServiceRegistry.register("one", url), scope)
          yield* Scope.extend(ServiceRegistry.register("two", fiber), scope)
          expect(yield* ServiceRegistry.list()).toEqual([])
        }))

      const ends: ReadonlyArray<
        [
          string,
          (end: Deferred.Deferred<string, string>, fiber: Fiber.RuntimeFiber<string, string>) => Effect.Effect<unknown>
        ]
      > = [
        ["succeeds", (end) => Deferred.succeed(end, "done")],
        ["fails", (end) => Deferred.fail(end, "broken")],
        ["dies", (end) => Deferred.die(end, new Error("defect"))],
        ["is interrupted", (_, fiber) => Fiber.interrupt(fiber)]
      ]
      for (const [how, finish] of ends) {
        test(`a fiber that ${how} is gone at once, and its name and places are free`, () =>
          Effect.gen(function* () {
            const { end, fiber } = yield* worker
            yield* ServiceRegistry.register("worker", fiber)
            yield* ServiceRegistry.join("workers", fiber)
            yield* finish(end, fiber)
            yield* Fiber.await(fiber)
            expect(yield* isRegistered("worker")).toBe(false)
            expect(yield* ServiceRegistry.list()).toEqual([])
            expect(yield* ServiceRegistry.members("workers")).toEqual([])
            expect((yield* Effect.flip(ServiceRegistry.pick("workers")))._tag).toBe("ServiceNotFound")
            yield* ServiceRegistry.register("worker", url)
          }))
      }

      test("an observer of the fiber that runs before the registry's own never finds the dead fiber", () =>
        Effect.gen(function* () {
          const registry = yield* ServiceRegistry
          const { end, fiber } = yield* worker
          yield* ServiceRegistry.register("worker", fiber)
          yield* ServiceRegistry.join("workers", fiber)
          // Observers run from the last to the first, so this one comes before that of the registry.
          const seen = yield* Deferred.make<ReadonlyArray<unknown>>()
          fiber.addObserver(() =>
            Deferred.unsafeDone(
              seen,
              Effect.succeed([
                registry.unsafeLookup("worker"),
                Effect.runSync(registry.list()),
                Effect.runSync(registry.members("workers")),
                Effect.runSync(Effect.option(registry.pick("workers"))),
                Effect.runSync(Effect.option(registry.pick("workers", "random"))),
                Effect.runSync(Effect.option(registry.update("worker", {})))
              ])
            )
          )
          yield* Deferred.succeed(end, "done")
          expect(yield* Deferred.await(seen)).toEqual([undefined, [], [], Option.none(), Option.none(), Option.none()])
        }))

      test("a name whose fiber has ended is taken anew, and the late end of the first removes nothing", () =>
        Effect.gen(function* () {
          const { end, fiber } = yield* worker
          const first = yield* Scope.make()
          yield* Scope.extend(ServiceRegistry.register("worker", fiber), first)
          yield* Deferred.succeed(end, "done")
          yield* Fiber.await(fiber)
          const second = yield* ServiceRegistry.register("worker", url, { is: "second" })
          yield* Scope.close(first, Exit.void)
          expect(yield* ServiceRegistry.lookup("worker")).toEqual(second)
        }))

      test("a name whose fiber has just ended is taken anew, before the observers of the fiber have run", () =>
        Effect.gen(function* () {
          const registry = yield* ServiceRegistry
          const scope = yield* Effect.scope
          const { end, fiber } = yield* worker
          yield* ServiceRegistry.register("worker", fiber)
          const second = yield* Deferred.make<ServiceRegistry.Registration, unknown>()
          fiber.addObserver(() => {
            const registering = Effect.runFork(Scope.extend(registry.register("worker", url), scope))
            Deferred.unsafeDone(second, Fiber.join(registering))
          })
          yield* Deferred.succeed(end, "done")
          const registered = yield* Deferred.await(second)
          yield* Fiber.await(fiber)
          expect(yield* ServiceRegistry.lookup("worker")).toEqual(registered)
        }))

      test("a closed scope removes its own registrations and no others", () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const { fiber } = yield* worker
          yield* Scope.extend(ServiceRegistry.register("a", fiber), scope)
          yield* ServiceRegistry.register("b", fiber)
          yield* Scope.extend(ServiceRegistry.join("g", fiber), scope)
          const stays = yield* ServiceRegistry.join("g", fiber)
          yield* Scope.close(scope, Exit.void)
          expect((yield* ServiceRegistry.list()).map((one) => one.name)).toEqual(["b"])
          expect(yield* ServiceRegistry.members("g")).toEqual([stays])
        }))

      test("tokens grow from registration to registration, in names and groups alike", () =>
        Effect.gen(function* () {
          const tokens: Array<number> = []
          for (let round = 0; round < 3; round++) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                tokens.push((yield* ServiceRegistry.register("a", url)).token)
                tokens.push((yield* ServiceRegistry.join("a", url)).token)
              })
            )
          }
          expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b))
        }))

      test("names of services and of groups are apart", () =>
        Effect.gen(function* () {
          yield* ServiceRegistry.join("mail", url)
          expect(yield* isRegistered("mail")).toBe(false)
          yield* ServiceRegistry.register("mail", url)
          expect(yield* ServiceRegistry.members("mail")).toHaveLength(1)
        }))
    })

    describe("what is refused", () => {
      const badNames: ReadonlyArray<[string, string]> = [
        ["empty", ""],
        ["too long", "x".repeat(257)],
        ["of two lines", "a\nb"],
        ["cut by a NUL", "a\0b"],
        ["half of a surrogate pair", "a\ud800"]
      ]
      for (const [what, bad] of badNames) {
        test(`a name that is ${what}`, () =>
          Effect.gen(function* () {
            for (const effect of [
              Effect.asVoid(ServiceRegistry.register(bad, url)),
              Effect.asVoid(ServiceRegistry.join(bad, url)),
              Effect.asVoid(ServiceRegistry.waitFor(bad))
            ]) {
              expect(yield* Effect.flip(effect)).toMatchObject({ _tag: "RegistryError", reason: "invalid_name" })
            }
          }))
      }

      test("names of every other kind are taken: 256 characters, spaces, emoji, __proto__", () =>
        Effect.gen(function* () {
          for (const good of ["x".repeat(256), "a b", "😀", "__proto__", "constructor", " "]) {
            yield* ServiceRegistry.register(good, url)
            expect((yield* ServiceRegistry.lookup(good)).name).toBe(good)
          }
          expect((yield* Effect.flip(ServiceRegistry.lookup("toString")))._tag).toBe("ServiceNotFound")
        }))

      test("a process that is neither a running fiber nor an address", () =>
        Effect.gen(function* () {
          const ended = yield* Effect.fork(Effect.void)
          yield* Fiber.await(ended)
          const notProcesses: ReadonlyArray<unknown> = [
            ended,
            "localhost:8080",
            "not an address",
            "",
            undefined,
            null,
            42,
            {},
            Effect.void
          ]
          for (const process of notProcesses) {
            const error = yield* Effect.flip(ServiceRegistry.register("x", process as URL)) // the callers of JavaScript
            expect(error, String(process)).toMatchObject({ _tag: "RegistryError", reason: "invalid_process" })
          }
          expect(yield* isRegistered("x")).toBe(false)
        }))

      test("an address that is none, without a word of it in the error: it may hold a password", () =>
        Effect.gen(function* () {
          const addresses = ["admin:hunter2@db.internal", "postgres://admin:hunter2@[db", `hunter2 ${"x".repeat(1e6)}`]
          for (const address of addresses) {
            const errors = [
              yield* Effect.flip(ServiceRegistry.register("db", address)),
              yield* Effect.flip(ServiceRegistry.join("db", address))
            ]
            for (const error of errors) {
              expect(error).toMatchObject({ reason: "invalid_process", context: { name: "db" } })
              expect(error.message).toContain('"http://localhost:8080"')
              expect(error.message.length).toBeLessThan(300)
              expect(JSON.stringify(error)).not.toContain("hunter2")
            }
          }
        }))

      test("a name of any length, which no message repeats in full", () =>
        Effect.gen(function* () {
          const long = "x".repeat(100_000)
          const errors = [
            yield* Effect.flip(ServiceRegistry.register(long, url)),
            yield* Effect.flip(ServiceRegistry.lookup(long)),
            yield* Effect.flip(ServiceRegistry.update(long, {})),
            yield* Effect.flip(ServiceRegistry.update(long, { n: Number.NaN })),
            yield* Effect.flip(ServiceRegistry.pick(long))
          ]
          for (const error of errors) expect(error.message.length).toBeLessThan(500)
        }))

      test("metadata that JSON cannot express, with the path of what is wrong", () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(ServiceRegistry.register("x", url, { a: [{ b: () => 1 }] }))
          expect(error).toMatchObject({ reason: "invalid_metadata", context: { path: "metadata.a[0].b" } })
          expect(error.message).toContain('"x": metadata.a[0].b is a function')
          yield* ServiceRegistry.register("x", url, { fine: true })
          const update = yield* Effect.flip(ServiceRegistry.update("x", { n: Number.NaN }))
          expect(update).toMatchObject({ reason: "invalid_metadata" })
          expect((yield* ServiceRegistry.lookup("x")).metadata).toEqual({ fine: true })
        }))

      test("nothing that the caller does afterwards reaches the registry", () =>
        Effect.gen(function* () {
          const address = new URL(url)
          const metadata = { labels: ["a"] }
          const registered = yield* ServiceRegistry.register("x", address, metadata)
          address.port = "1"
          metadata.labels.push("b")
          expect(String((yield* ServiceRegistry.lookup("x")).process)).toBe(`${url}/`)
          expect(registered.metadata).toEqual({ labels: ["a"] })
          expect(Object.isFrozen(registered)).toBe(true)
          expect(Object.isFrozen(registered.metadata.labels)).toBe(true)
        }))
    })

    describe("lookup and list", () => {
      test("a name that nobody has is ServiceNotFound, or none", () =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(ServiceRegistry.lookup("x"))).toMatchObject({
            _tag: "ServiceNotFound",
            code: "not_found",
            service: "x"
          })
          expect(yield* ServiceRegistry.lookupOption("x")).toEqual(Option.none())
        }))

      test("list answers all in order of registration, or those of a prefix or a name", () =>
        Effect.gen(function* () {
          for (const one of ["b:1", "a:1", "b:2"]) yield* ServiceRegistry.register(one, url)
          yield* ServiceRegistry.update("b:1", { v: 2 })
          const names = (selection?: ServiceRegistry.Selection) =>
            Effect.map(ServiceRegistry.list(selection), (all) => all.map((one) => one.name))
          expect(yield* names()).toEqual(["b:1", "a:1", "b:2"])
          expect(yield* names({ prefix: "b:" })).toEqual(["b:1", "b:2"])
          expect(yield* names({ name: "a:1" })).toEqual(["a:1"])
          expect(yield* names({ name: "a" })).toEqual([])
          expect(yield* names({ prefix: "c" })).toEqual([])
        }))
    })

    describe("update", () => {
      test("replaces the metadata, and keeps process and token", () =>
        Effect.gen(function* () {
          const before = yield* ServiceRegistry.register("x", url, { v: 1 })
          const after = yield* ServiceRegistry.update("x", { w: 2 })
          expect(after).toEqual({ ...before, metadata: { w: 2 } })
          expect(yield* ServiceRegistry.lookup("x")).toEqual(after)
          expect(before.metadata).toEqual({ v: 1 })
        }))

      test("a conflict carries the metadata as it was updated", () =>
        Effect.gen(function* () {
          yield* ServiceRegistry.register("x", url, { v: 1 })
          yield* ServiceRegistry.update("x", { v: 2 })
          expect(yield* Effect.flip(ServiceRegistry.register("x", url))).toMatchObject({ holder: { v: 2 } })
        }))

      test("a conflict hides what is named as a secret; a lookup answers the metadata as they are", () =>
        Effect.gen(function* () {
          const metadata = { region: "eu", apiKey: "hunter2", db: [{ password: "hunter2", port: 5432 }] }
          yield* ServiceRegistry.register("x", url, metadata)
          const error = yield* Effect.flip(ServiceRegistry.register("x", url))
          expect(error).toMatchObject({
            _tag: "AlreadyRegistered",
            holder: { region: "eu", apiKey: "<redacted>", db: [{ password: "<redacted>", port: 5432 }] }
          })
          expect(JSON.stringify(error)).not.toContain("hunter2")
          expect((yield* ServiceRegistry.lookup("x")).metadata).toStrictEqual(metadata)
        }))

      test("of a name that nobody has is ServiceNotFound; the updated registration still ends with its scope", () =>
        Effect.gen(function* () {
          expect((yield* Effect.flip(ServiceRegistry.update("x", {})))._tag).toBe("ServiceNotFound")
          yield* Effect.scoped(
            Effect.zipRight(ServiceRegistry.register("x", url), ServiceRegistry.update("x", { v: 2 }))
          )
          expect(yield* isRegistered("x")).toBe(false)
        }))
    })

    describe("waitFor", () => {
      test("answers at once where the name is registered", () =>
        Effect.gen(function* () {
          const registered = yield* ServiceRegistry.register("x", url)
          expect(yield* ServiceRegistry.waitFor("x")).toEqual(registered)
        }))

      test("wakes every waiter of the name, and no other", () =>
        Effect.gen(function* () {
          const waiters = yield* Effect.forEach(Array.from({ length: 100 }), () =>
            Effect.fork(ServiceRegistry.waitFor("x"))
          )
          const other = yield* Effect.fork(ServiceRegistry.waitFor("y"))
          yield* Effect.yieldNow()
          const registered = yield* ServiceRegistry.register("x", url)
          expect(yield* Fiber.join(Fiber.all(waiters))).toEqual(Array.from({ length: 100 }, () => registered))
          expect(other.unsafePoll()).toBeNull()
          yield* Fiber.interrupt(other)
        }))

      test("misses no registration, not even one that is over before the waiter goes on", () =>
        Effect.gen(function* () {
          const waiter = yield* Effect.fork(ServiceRegistry.waitFor("x"))
          yield* Effect.yieldNow()
          const gone = yield* Effect.scoped(ServiceRegistry.register("x", url))
          expect(yield* Fiber.join(waiter)).toEqual(gone)
        }))

      test("does not answer a dead fiber that is still in the table", () =>
        Effect.gen(function* () {
          const registry = yield* ServiceRegistry
          const { end, fiber } = yield* worker
          yield* ServiceRegistry.register("x", fiber)
          const waiting = yield* Deferred.make<Fiber.RuntimeFiber<ServiceRegistry.Registration, unknown>>()
          fiber.addObserver(() => Deferred.unsafeDone(waiting, Effect.succeed(Effect.runFork(registry.waitFor("x")))))
          yield* Deferred.succeed(end, "done")
          const waiter = yield* Deferred.await(waiting)
          const registered = yield* ServiceRegistry.register("x", url)
          expect(yield* Fiber.join(waiter)).toEqual(registered)
        }))

      test("loses none while registrations race with the start of the waiting", () =>
        Effect.gen(function* () {
          for (let round = 0; round < 50; round++) {
            const [waited] = yield* Effect.all(
              [
                ServiceRegistry.waitFor(`x${round}`).pipe(Effect.withMaxOpsBeforeYield(10 + (round % 5))),
                ServiceRegistry.register(`x${round}`, url).pipe(Effect.withMaxOpsBeforeYield(10 + (round % 7)))
              ],
              { concurrency: "unbounded" }
            )
            expect(waited.name).toBe(`x${round}`)
          }
        }))
    })

    describe("watch", () => {
      test("tells the state, and then each change with its reason", () =>
        Effect.gen(function* () {
          const { end, fiber } = yield* worker
          const before = yield* ServiceRegistry.register("a", url)
          const started = yield* Deferred.make<void>()
          const watching = yield* ServiceRegistry.watch().pipe(
            Stream.tap(() => Deferred.succeed(started, undefined)),
            Stream.take(6),
            Stream.runCollect,
            Effect.fork
          )
          yield* Deferred.await(started)
          const b = yield* Effect.scoped(ServiceRegistry.register("b", url))
          const c = yield* ServiceRegistry.register("c", fiber)
          const updated = yield* ServiceRegistry.update("c", { v: 1 })
          yield* Deferred.succeed(end, "done")
          expect([...(yield* Fiber.join(watching))]).toEqual([
            { _tag: "Snapshot", registrations: [before] },
            { _tag: "Registered", registration: b },
            { _tag: "Unregistered", registration: b, reason: "closed" },
            { _tag: "Registered", registration: c },
            { _tag: "Updated", registration: updated },
            { _tag: "Unregistered", registration: updated, reason: "ended" }
          ])
        }))

      test("tells of the selected names only", () =>
        Effect.gen(function* () {
          for (const selection of [{ name: "db" }, { prefix: "db" }]) {
            const started = yield* Deferred.make<void>()
            const watching = yield* ServiceRegistry.watch(selection).pipe(
              Stream.tap(() => Deferred.succeed(started, undefined)),
              Stream.take(3),
              Stream.runCollect,
              Effect.fork
            )
            yield* Deferred.await(started)
            const names = "name" in selection ? ["x", "db2", "db", "db"] : ["x", "db2", "y"]
            for (const one of names) yield* Effect.scoped(ServiceRegistry.register(one, url))
            const told = [...(yield* Fiber.join(watching))].slice(1)
            expect(told).toMatchObject([
              { _tag: "Registered", registration: { name: "name" in selection ? "db" : "db2" } },
              { _tag: "Unregistered", registration: { name: "name" in selection ? "db" : "db2" } }
            ])
          }
        }))

      test("a watcher that reads nothing delays nobody, and then reads the true state", () =>
        Effect.gen(function* () {
          const pull = yield* Stream.toPull(ServiceRegistry.watch({ buffer: 8 }))
          expect([...(yield* pull)]).toEqual([{ _tag: "Snapshot", registrations: [] }])
          for (let index = 0; index < 1000; index++) yield* ServiceRegistry.register(`x${index}`, url)
          const now = yield* ServiceRegistry.list()
          expect([...(yield* pull)]).toEqual([{ _tag: "Snapshot", registrations: now }])
          const y = yield* ServiceRegistry.register("y", url)
          expect([...(yield* pull)]).toEqual([{ _tag: "Registered", registration: y }])
        }))

      test("a buffer that is just filled loses no change", () =>
        Effect.gen(function* () {
          const pull = yield* Stream.toPull(ServiceRegistry.watch({ buffer: 3 }))
          yield* pull
          for (const one of ["a", "b", "c"]) yield* ServiceRegistry.register(one, url)
          expect([...(yield* pull)].map((change) => change._tag)).toEqual(["Registered", "Registered", "Registered"])
        }))

      for (const buffer of [0, -1, 1.5, Number.NaN]) {
        test(`a buffer of ${buffer} is refused as a defect`, () =>
          Effect.gen(function* () {
            const exit = yield* Effect.exit(Stream.runDrain(ServiceRegistry.watch({ buffer })))
            expect(Exit.causeOption(exit)).toMatchObject(
              Option.some({
                _tag: "Die",
                defect: { _tag: "ConfigError", path: "serviceRegistry.watch.buffer" }
              })
            )
          }))
      }
    })

    describe("groups", () => {
      test("has members in order of joining; one process may be in many groups, and twice in one", () =>
        Effect.gen(function* () {
          const { fiber } = yield* worker
          const a = yield* ServiceRegistry.join("g", fiber, { n: 1 })
          const b = yield* ServiceRegistry.join("g", url, { n: 2 })
          const c = yield* ServiceRegistry.join("g", fiber, { n: 3 })
          const other = yield* ServiceRegistry.join("h", fiber)
          expect(yield* ServiceRegistry.members("g")).toEqual([a, b, c])
          expect(yield* ServiceRegistry.members("h")).toEqual([other])
          expect(yield* ServiceRegistry.members("nobody")).toEqual([])
        }))

      test("by turns, the picks of the members differ by at most one after every pick", () =>
        Effect.gen(function* () {
          for (let index = 0; index < 7; index++) yield* ServiceRegistry.join("g", url, { index })
          const counts = new Array<number>(7).fill(0)
          for (let pick = 0; pick < 100; pick++) {
            const { metadata } = yield* ServiceRegistry.pick("g")
            const index = Number(metadata.index)
            counts[index] = (counts[index] ?? 0) + 1
            expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
          }
        }))

      test("skips the dead, whatever the strategy", () =>
        Effect.gen(function* () {
          const workers = yield* Effect.replicateEffect(worker, 6)
          for (const { fiber } of workers) yield* ServiceRegistry.join("g", fiber)
          const dead = workers.filter((_, index) => index % 2 === 0)
          for (const { fiber } of dead) yield* Fiber.interrupt(fiber)
          const strategies: ReadonlyArray<ServiceRegistry.Strategy> = [
            "round-robin",
            "random",
            { key: "k" },
            (members) => members[members.length - 1]
          ]
          for (const strategy of strategies) {
            for (let pick = 0; pick < 20; pick++) {
              const { process } = yield* ServiceRegistry.pick("g", strategy)
              expect(workers.findIndex(({ fiber }) => fiber === process) % 2).toBe(1)
            }
          }
        }))

      test("at random, each member has its share, and the same seed gives the same picks", () =>
        Effect.gen(function* () {
          for (let index = 0; index < 4; index++) yield* ServiceRegistry.join("g", url, { index })
          const picks = Effect.map(Effect.replicateEffect(ServiceRegistry.pick("g", "random"), 4000), (picked) =>
            picked.map((member) => Number(member.metadata.index))
          )
          const seeded = Effect.withRandom(picks, Random.make("seed"))
          const first = yield* seeded
          for (let index = 0; index < 4; index++) {
            expect(first.filter((picked) => picked === index).length).toBeGreaterThan(850)
          }
          expect(yield* Effect.withRandom(picks, Random.make("seed"))).toEqual(first)
        }))

      test("a key picks the same member, and a member that leaves moves no keys but its own", () =>
        Effect.gen(function* () {
          const leaving = yield* Scope.make()
          for (let index = 0; index < 4; index++) yield* ServiceRegistry.join("g", url, { index })
          yield* Scope.extend(ServiceRegistry.join("g", url, { index: 4 }), leaving)
          const keys = Array.from({ length: 2000 }, (_, index) => `key-${index}`)
          const assign = Effect.forEach(keys, (key) =>
            Effect.map(ServiceRegistry.pick("g", { key }), (member) => Number(member.metadata.index))
          )
          const before = yield* assign
          expect(yield* assign).toEqual(before)
          for (let index = 0; index < 5; index++) {
            expect(before.filter((assigned) => assigned === index).length).toBeGreaterThan(300)
          }
          yield* Scope.close(leaving, Exit.void)
          const after = yield* assign
          for (const [position, assigned] of before.entries()) {
            if (assigned === 4) expect(after[position]).not.toBe(4)
            else expect(after[position]).toBe(assigned)
          }
        }))

      test("a function that chooses none, and a group of none, are ServiceNotFound", () =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(ServiceRegistry.pick("g"))).toMatchObject({ service: "g" })
          yield* ServiceRegistry.join("g", url)
          expect(yield* Effect.flip(ServiceRegistry.pick("g", () => undefined))).toMatchObject({ service: "g" })
        }))
    })

    describe("telemetry", () => {
      test("tells of registrations, their ends with duration and reason, and conflicts", () =>
        Effect.gen(function* () {
          const events: Array<readonly [string, unknown]> = []
          yield* Telemetry.attach("collect", "service_registry.*", ({ measurements, metadata, name }) => {
            expect(measurements.count).toBe(1)
            if (name === "service_registry.unregister") expect(measurements.duration).toBeGreaterThanOrEqual(0)
            events.push([name, metadata])
          })
          const { fiber } = yield* worker
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* ServiceRegistry.register("a", url)
              yield* Effect.flip(ServiceRegistry.register("a", url))
              yield* ServiceRegistry.join("g", fiber)
              yield* Fiber.interrupt(fiber)
            })
          )
          expect(events).toEqual([
            ["service_registry.register", { name: "a", kind: "name" }],
            ["service_registry.conflict", { name: "a" }],
            ["service_registry.register", { name: "g", kind: "group" }],
            ["service_registry.unregister", { name: "g", kind: "group", reason: "ended" }],
            ["service_registry.unregister", { name: "a", kind: "name", reason: "closed" }]
          ])
        }))

      test("a handler that registers the freed name itself wins it, and all stays consistent", () =>
        Effect.gen(function* () {
          const registry = yield* ServiceRegistry
          const scope = yield* Effect.scope
          yield* Telemetry.attach("heir", "service_registry.unregister", () =>
            Effect.ignore(Scope.extend(registry.register("x", "http://heir"), scope))
          )
          yield* Effect.scoped(ServiceRegistry.register("x", url))
          expect(String((yield* ServiceRegistry.lookup("x")).process)).toBe("http://heir/")
        }))
    })
  })
}
