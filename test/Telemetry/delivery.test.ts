import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberRef,
  Layer,
  Logger,
  Option,
  Scope,
  TestClock
} from "effect"
import { CorrelationId } from "effect-foundation/CorrelationId"
import { ConfigError } from "effect-foundation/FoundationError"
import { Telemetry } from "effect-foundation/Telemetry"

const withTelemetry = <A, E>(effect: Effect.Effect<A, E, Telemetry | Scope.Scope>): Effect.Effect<A, E> =>
  effect.pipe(Effect.scoped, Effect.provide(Telemetry.layer))

const attachment = (id: string) =>
  Effect.map(Telemetry.attached, (attached) => {
    const found = attached.find((one) => one.id === id)
    if (found === undefined) throw new Error(`${id} is not attached`)
    return found
  })

/** Keeps what it is given, in order. */
const collect = (selector: string | ReadonlyArray<string>, id = "collect") =>
  Effect.gen(function* () {
    const events: Array<Telemetry.Event> = []
    yield* Telemetry.attach(id, selector, (event) => {
      events.push(event)
    })
    return events
  })

class Tag extends Context.Tag("test/Tag")<Tag, string>() {}

describe("an event", () => {
  it.effect("reaches the handlers that select it, in order of attachment, before execute is done", () =>
    Effect.gen(function* () {
      const calls: Array<string> = []
      for (const [id, selector] of [
        ["first", "*"],
        ["second", ["other", "a.*"]],
        ["third", "a.b"],
        ["not", "a.c"]
      ] as const) {
        yield* Telemetry.attach(id, selector, (event) => {
          calls.push(`${id} ${event.name} ${event.measurements.n} ${event.metadata.of}`)
        })
      }
      yield* Telemetry.execute("a.b", { n: 1 }, { of: "x" })
      expect(calls).toEqual(["first a.b 1 x", "second a.b 1 x", "third a.b 1 x"])
    }).pipe(withTelemetry)
  )

  it.effect("has empty measurements and metadata where none are given", () =>
    Effect.gen(function* () {
      const events = yield* collect("a")
      yield* Telemetry.execute("a")
      expect(events).toMatchObject([{ name: "a", measurements: {}, metadata: {} }])
    }).pipe(withTelemetry)
  )

  it.effect("carries the correlation id in force, which a handler's effect has too", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const events = yield* collect("a")
      yield* Telemetry.attach("effect", "a", () =>
        Effect.map(CorrelationId.current, (id) => {
          seen.push(id)
        })
      ).pipe(CorrelationId.with("of the attachment"))
      yield* Telemetry.execute("a").pipe(CorrelationId.with("req-1"))
      const inSpan = yield* Telemetry.execute("a").pipe(
        Effect.zipRight(Effect.map(Effect.currentSpan, (span) => span.traceId)),
        Effect.withSpan("work"),
        Effect.orDie
      )
      yield* Telemetry.execute("a")
      const made = yield* CorrelationId.current
      expect(events.map((event) => event.correlationId)).toEqual(["req-1", inSpan, made])
      expect(seen).toEqual(["req-1", inSpan, made])
    }).pipe(withTelemetry)
  )

  it.effect("can be emitted in a synchronous step, and outside of any fiber", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const events = yield* collect("*")
      telemetry.unsafeExecute("a", { n: 1 }, {})
      yield* Effect.promise(() => Promise.resolve().then(() => telemetry.unsafeExecute("b", { n: 2 }, {})))
      expect(events.map((event) => event.name)).toEqual(["a", "b"])
      expect(events[1]?.correlationId).toMatch(/^[0-9a-f-]{36}$/)
    }).pipe(withTelemetry)
  )

  it.effect("is enabled while a handler takes it", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      expect(telemetry.enabled("a.b")).toBe(false)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* telemetry.attach("h", "a.*", () => {})
          expect(telemetry.enabled("a.b")).toBe(true)
          expect(telemetry.enabled("b")).toBe(false)
        })
      )
      expect(telemetry.enabled("a.b")).toBe(false)
    }).pipe(withTelemetry)
  )

  it.effect("never fails or throws, whatever it is made of", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      yield* Telemetry.attach("reads", "*", (event) => {
        JSON.stringify([event.name, event.measurements, event.metadata])
      })
      const hostile = new Proxy(
        {},
        {
          get: () => {
            throw new Error("get")
          },
          ownKeys: () => {
            throw new Error("ownKeys")
          },
          getPrototypeOf: () => {
            throw new Error("getPrototypeOf")
          }
        }
      )
      const getter = {
        get value(): number {
          throw new Error("getter")
        }
      }
      // What code without types may pass.
      const execute = Telemetry.execute as (...args: ReadonlyArray<unknown>) => Effect.Effect<void, never, Telemetry>
      const unsafeExecute = telemetry.unsafeExecute as (...args: ReadonlyArray<unknown>) => void
      const enabled = telemetry.enabled as (name: unknown) => boolean
      for (const bad of [hostile, getter, undefined, null, 1, Symbol("s"), () => {}]) {
        yield* execute("a", bad, bad)
        yield* execute(bad, bad, bad)
        unsafeExecute("a", bad, bad)
        unsafeExecute(bad)
        expect(enabled(bad)).toBe(false)
      }
      expect((yield* attachment("reads")).delivered).toBe(14)
    }).pipe(withTelemetry)
  )
})

describe("a handler that", () => {
  const reason = new Error("boom")
  const bad: ReadonlyArray<[string, Telemetry.Handler<unknown>, string]> = [
    [
      "throws",
      () => {
        throw reason
      },
      "Error: boom"
    ],
    [
      "throws what cannot be read",
      () => {
        throw new Proxy(
          {},
          {
            get: () => {
              throw reason
            },
            getPrototypeOf: () => {
              throw reason
            }
          }
        )
      },
      "unreadable"
    ],
    ["fails", () => Effect.fail({ _tag: "Bad", password: "x" }), '{"_tag":"Bad","password":"<redacted>"}'],
    [
      "fails in the end of a step",
      () =>
        Effect.zipRight(
          Effect.sync(() => 1),
          Effect.fail("no")
        ),
      "no"
    ],
    ["dies", () => Effect.die(reason), "Error: boom"],
    [
      "throws in an effect",
      () =>
        Effect.sync(() => {
          throw reason
        }),
      "Error: boom"
    ],
    ["interrupts itself", () => Effect.interrupt, "interrupted"],
    ["fails later", () => Effect.zipRight(Effect.yieldNow(), Effect.fail("later")), "later"],
    ["runs an effect that fails", () => Effect.runSync(Effect.fail("inner")), "inner"],
    ["rejects", () => Promise.reject(reason) as unknown as void, "Error: boom"],
    [
      "overflows the stack",
      () => {
        const down = (): number => 1 + down()
        down()
      },
      "RangeError: Maximum call stack size exceeded"
    ]
  ]

  for (const [what, handler, told] of bad) {
    it.effect(`${what} disturbs neither emitter nor siblings, is counted, and is an event`, () =>
      Effect.gen(function* () {
        const before = yield* collect("a", "before")
        yield* Telemetry.attach("bad", "a", handler)
        const after = yield* collect("a", "after")
        const failures = yield* collect("telemetry.handler.failure", "failures")
        const result = yield* Telemetry.execute("a", { n: 1 }).pipe(Effect.as("undisturbed"), Effect.exit)
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        expect(result).toEqual(Exit.succeed("undisturbed"))
        expect(before).toHaveLength(1)
        expect(after).toHaveLength(1)
        expect(failures).toMatchObject([
          {
            measurements: { count: 1 },
            metadata: { handler: "bad", event: "a" },
            correlationId: before[0]?.correlationId
          }
        ])
        expect(failures[0]?.metadata.reason).toContain(told)
        expect(yield* attachment("bad")).toMatchObject({ delivered: 1, failures: 1 })
        yield* Telemetry.execute("a")
        expect((yield* attachment("bad")).delivered).toBe(2)
      }).pipe(withTelemetry)
    )
  }

  it.effect("fails on the event of a failure is only counted", () =>
    Effect.gen(function* () {
      for (const id of ["a", "b", "c"]) {
        yield* Telemetry.attach(id, "*", () => {
          throw new Error(id)
        })
      }
      yield* Telemetry.execute("x")
      // Each fails on x, and on the two reports of what the others did.
      expect(yield* Telemetry.attached).toMatchObject([
        { id: "a", delivered: 3, failures: 3, skipped: 1 },
        { id: "b", delivered: 3, failures: 3, skipped: 1 },
        { id: "c", delivered: 3, failures: 3, skipped: 1 }
      ])
    }).pipe(withTelemetry)
  )

  it.effect("answers a failure with an event that fails does not go round for ever", () =>
    Effect.gen(function* () {
      const failures = yield* collect("telemetry.handler.failure", "failures")
      yield* Telemetry.attach("bad", "x", () => Effect.zipRight(Effect.yieldNow(), Effect.fail("bad")))
      yield* Telemetry.attach("reacts", "telemetry.handler.failure", () =>
        Effect.zipRight(Effect.yieldNow(), Telemetry.execute("x"))
      )
      yield* Telemetry.execute("x")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 0)))
      // bad fails, reacts is told, and what it emits arises in the run of bad.
      expect(failures).toHaveLength(1)
      expect(yield* attachment("bad")).toMatchObject({ delivered: 1, skipped: 1 })
    }).pipe(withTelemetry)
  )
})

describe("the failures of a handler that logs them", () => {
  it.effect("are one line a minute, with how many there were", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        lines.push(`${logLevel.label} ${String(message)}`)
      })
      yield* Effect.gen(function* () {
        yield* Telemetry.attach("bad", "a", () => Effect.fail("no"), { log: true })
        yield* Telemetry.attach("silent", "a", () => Effect.fail("no"))
        for (let n = 0; n < 100; n++) yield* Telemetry.execute("a")
        expect(lines).toHaveLength(1)
        expect(lines[0]).toContain('WARN The telemetry handler "bad" failed on "a": no')
        yield* TestClock.adjust("59 seconds")
        yield* Telemetry.execute("a")
        expect(lines).toHaveLength(1)
        yield* TestClock.adjust("1 second")
        yield* Telemetry.execute("a")
        expect(lines).toHaveLength(2)
        expect(lines[1]).toContain("failures since the last report: 101")
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
    }).pipe(withTelemetry)
  )

  it.effect("do not disturb the emitter where the logger throws", () =>
    Effect.gen(function* () {
      const logger = Logger.make(() => {
        throw new Error("no disk")
      })
      yield* Telemetry.attach("bad", "a", () => Effect.fail("no"), { log: true })
      yield* Telemetry.execute("a").pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      expect((yield* attachment("bad")).failures).toBe(1)
    }).pipe(withTelemetry)
  )
})

describe("handlers that come and go during an event", () => {
  it.effect("a handler that detaches itself takes no more, and its siblings do", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const calls: Array<string> = []
      yield* Telemetry.attach("sync", "a", () => {
        calls.push("sync")
        Effect.runSync(telemetry.detach("sync"))
      })
      yield* Telemetry.attach("effect", "a", () =>
        Effect.zipRight(
          Effect.sync(() => calls.push("effect")),
          telemetry.detach("effect")
        )
      )
      const sibling = yield* collect("a")
      yield* Telemetry.execute("a")
      yield* Telemetry.execute("a")
      expect(calls).toEqual(["sync", "effect"])
      expect(sibling).toHaveLength(2)
      expect((yield* Telemetry.attached).map((one) => one.id)).toEqual(["collect"])
    }).pipe(withTelemetry)
  )

  it.effect("a handler that another detaches is not called again, not even for this event", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const calls: Array<string> = []
      const push = (what: string) => () => {
        calls.push(what)
      }
      yield* Telemetry.attach("victim", "a", push("victim, the first of the id"))
      yield* Telemetry.attach("attacker", "a", () => {
        calls.push("attacker")
        Effect.runSync(telemetry.detach("victim"))
      })
      yield* Telemetry.attach("victim", "a", push("victim, the second of the id"))
      yield* Telemetry.attach("last", "a", push("last"))
      yield* Telemetry.execute("a")
      yield* Telemetry.execute("a")
      expect(calls).toEqual(["victim, the first of the id", "attacker", "last", "attacker", "last"])
    }).pipe(withTelemetry)
  )

  it.effect("a handler that is attached during an event takes the next one", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const scope = yield* Effect.scope
      let calls = 0
      yield* Telemetry.attach("attaches", "a", () =>
        telemetry
          .attach("new", "a", () => {
            calls++
          })
          .pipe(Scope.extend(scope))
      )
      yield* Telemetry.execute("a")
      expect(calls).toBe(0)
      yield* Telemetry.execute("a")
      expect(calls).toBe(1)
    }).pipe(withTelemetry)
  )

  it.effect("detaching what is not attached is nothing", () =>
    Effect.gen(function* () {
      const events = yield* collect("a")
      yield* Telemetry.detach("nobody")
      yield* Telemetry.execute("a")
      expect(events).toHaveLength(1)
    }).pipe(withTelemetry)
  )

  it.effect("what was detached by its id is detached once, and its scope closes well after", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Telemetry.attach("h", "a", () => {}).pipe(Scope.extend(scope))
      yield* Telemetry.detach("h")
      yield* Telemetry.attach("h", "a", () => {})
      yield* Scope.close(scope, Exit.void)
      expect(yield* Telemetry.attached).toHaveLength(1)
    }).pipe(withTelemetry)
  )
})

describe("recursion", () => {
  it.effect("a handler is not given the event that it emits, in whichever way it emits it", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      yield* Telemetry.attach("sync", "sync", () => telemetry.unsafeExecute("sync", {}, {}))
      yield* Telemetry.attach("effect", "effect", () => Telemetry.execute("effect"))
      yield* Telemetry.attach("runSync", "runSync", () => Effect.runSync(telemetry.execute("runSync")))
      yield* Telemetry.attach("later", "later", () => Effect.zipRight(Effect.yieldNow(), Telemetry.execute("later")))
      yield* Telemetry.attach("forks", "forks", () =>
        Effect.flatMap(Effect.fork(Effect.zipRight(Effect.yieldNow(), Telemetry.execute("forks"))), Fiber.join)
      )
      for (const name of ["sync", "effect", "runSync", "later", "forks"]) {
        yield* Telemetry.execute(name)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 0)))
        expect(yield* attachment(name), name).toMatchObject({ delivered: 1, skipped: 1, failures: 0, running: 0 })
      }
    }).pipe(withTelemetry)
  )

  it.effect("an exporter of every event does not feed on what its own calls emit", () =>
    Effect.gen(function* () {
      const sent: Array<string> = []
      yield* Telemetry.attach("exporter", "*", (event) =>
        Effect.gen(function* () {
          yield* Effect.sleep("10 millis")
          yield* Telemetry.execute("http.client.request")
          sent.push(event.name)
        })
      )
      const others = yield* collect("http.client.request")
      yield* Telemetry.execute("a")
      yield* Telemetry.execute("b")
      yield* TestClock.adjust("1 second")
      expect(sent.sort()).toEqual(["a", "b"])
      expect(others).toHaveLength(2)
    }).pipe(withTelemetry)
  )

  it.effect("handlers that answer each other stop", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      let calls = 0
      yield* Telemetry.attach("ping", "ping", () => {
        calls++
        telemetry.unsafeExecute("pong", {}, {})
      })
      yield* Telemetry.attach("pong", "pong", () => {
        calls++
        telemetry.unsafeExecute("ping", {}, {})
      })
      yield* Telemetry.execute("ping")
      expect(calls).toBe(2)
    }).pipe(withTelemetry)
  )

  it.effect("an event that arises more than 8 handlers deep is given to nobody", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const reached: Array<number> = []
      for (let n = 0; n < 1000; n++) {
        yield* Telemetry.attach(`h${n}`, `e.${n}`, () => {
          reached.push(n)
          telemetry.unsafeExecute(`e.${n + 1}`, {}, {})
        })
      }
      yield* Telemetry.execute("e.0")
      expect(reached).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
      expect((yield* attachment("h8")).skipped).toBe(1)
    }).pipe(withTelemetry)
  )

  it.effect("many handlers of every event that each emit one stay within their number", () =>
    Effect.gen(function* () {
      let calls = 0
      for (let n = 0; n < 4; n++) {
        yield* Telemetry.attach(`h${n}`, "*", () => {
          calls++
          return Telemetry.execute("again")
        })
      }
      yield* Telemetry.execute("a")
      expect(calls).toBe(4 + 4 * 3 + 4 * 3 * 2 + 4 * 3 * 2)
    }).pipe(withTelemetry)
  )
})

describe("the effect of a handler", () => {
  it.effect("runs in the step of the emitter, which stays the current fiber", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      yield* Telemetry.attach("h", "a", () => Effect.sync(() => order.push("handler")))
      const me = yield* Effect.withFiberRuntime<Fiber.RuntimeFiber<unknown, unknown>>((fiber) => Effect.succeed(fiber))
      yield* Effect.zipRight(
        Telemetry.execute("a"),
        Effect.sync(() => {
          order.push("emitter")
          expect(Option.getOrNull(Fiber.getCurrentFiber())).toBe(me)
        })
      )
      expect(order).toEqual(["handler", "emitter"])
    }).pipe(withTelemetry)
  )

  it.effect("has the emitter's clock, span, log annotations and fiber refs, and the services of its attachment", () =>
    Effect.gen(function* () {
      const ref = yield* FiberRef.make("initial")
      const seen: Array<unknown> = []
      yield* Telemetry.attach("h", "a", () =>
        Effect.gen(function* () {
          seen.push(
            yield* Tag,
            yield* FiberRef.get(ref),
            yield* Clock.currentTimeMillis,
            (yield* Effect.currentSpan).name,
            Object.fromEntries(yield* Effect.logAnnotations)
          )
        })
      ).pipe(Effect.provideService(Tag, "of the attachment"), Effect.withSpan("span of the attachment"))
      yield* TestClock.adjust("5 seconds")
      yield* Telemetry.execute("a").pipe(
        Effect.provideService(Tag, "of the emitter"),
        Effect.locally(ref, "of the emitter"),
        Effect.annotateLogs("user", "u1"),
        Effect.withSpan("span of the emitter")
      )
      expect(seen).toEqual(["of the attachment", "of the emitter", 5000, "span of the emitter", { user: "u1" }])
    }).pipe(withTelemetry)
  )

  it.effect("has no span where the emitter has none", () =>
    Effect.gen(function* () {
      const spans: Array<boolean> = []
      yield* Telemetry.attach("h", "a", () =>
        Effect.map(Effect.option(Effect.currentSpan), (span) => {
          spans.push(Option.isSome(span))
        })
      ).pipe(Effect.withSpan("span of the attachment"))
      yield* Telemetry.execute("a")
      expect(spans).toEqual([false])
    }).pipe(withTelemetry)
  )

  it.effect("emitted outside of any fiber, runs with what its attachment had", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const ref = yield* FiberRef.make("initial")
      const seen: Array<unknown> = []
      yield* Telemetry.attach("h", "a", () =>
        Effect.gen(function* () {
          seen.push(yield* Tag, yield* FiberRef.get(ref), yield* Clock.currentTimeMillis)
        })
      ).pipe(Effect.provideService(Tag, "of the attachment"), Effect.locally(ref, "of the attachment"))
      yield* TestClock.adjust("5 seconds")
      yield* Effect.promise(() => Promise.resolve().then(() => telemetry.unsafeExecute("a", {}, {})))
      expect(seen).toEqual(["of the attachment", "of the attachment", 5000])
    }).pipe(withTelemetry)
  )

  it.effect("runs also for an event that an interrupted fiber emits while it ends", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      let handled = 0
      yield* Telemetry.attach("h", "a", () =>
        Effect.zipRight(
          Effect.yieldNow(),
          Effect.sync(() => handled++)
        )
      )
      const fiber = yield* Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Telemetry.execute("a")),
        Effect.fork
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      yield* Effect.yieldNow()
      expect(handled).toBe(1)
      expect(yield* attachment("h")).toMatchObject({ delivered: 1, failures: 0 })
    }).pipe(withTelemetry)
  )

  it.effect("that suspends does not hold the emitter, and goes on when the emitter is gone", () =>
    Effect.gen(function* () {
      let done = 0
      yield* Telemetry.attach("slow", "a", () =>
        Effect.zipRight(
          Effect.sleep("1 minute"),
          Effect.sync(() => done++)
        )
      )
      const after = yield* collect("a")
      yield* Effect.flatMap(Effect.fork(Telemetry.execute("a")), Fiber.join)
      expect(after).toHaveLength(1)
      expect(yield* attachment("slow")).toMatchObject({ running: 1 })
      yield* TestClock.adjust("1 minute")
      expect(done).toBe(1)
      expect(yield* attachment("slow")).toMatchObject({ running: 0, failures: 0 })
    }).pipe(withTelemetry)
  )

  it.effect("has at most 256 suspended runs, past which events are not delivered and counted as failures", () =>
    Effect.gen(function* () {
      let called = 0
      const gate = yield* Deferred.make<void>()
      yield* Telemetry.attach("slow", "a", () => {
        called++
        return Deferred.await(gate)
      })
      const sibling = yield* collect("a")
      const failures = yield* collect("telemetry.handler.failure", "failures")
      for (let n = 0; n < 1000; n++) yield* Telemetry.execute("a")
      expect(called).toBe(256)
      expect(sibling).toHaveLength(1000)
      expect(failures).toHaveLength(744)
      expect(failures[0]?.metadata.reason).toContain("256 runs of the handler are in progress")
      expect(yield* attachment("slow")).toMatchObject({ delivered: 256, failures: 744, running: 256 })
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow()
      yield* Telemetry.execute("a")
      yield* Effect.yieldNow()
      expect(yield* attachment("slow")).toMatchObject({ delivered: 257, failures: 744, running: 0 })
    }).pipe(withTelemetry)
  )

  it.effect("is interrupted when the scope of its attachment closes, which waits for its end", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const ends: Array<string> = []
      yield* Telemetry.attach("slow", "a", () =>
        Effect.onExit(Effect.never, (exit) =>
          Effect.zipRight(
            Effect.yieldNow(),
            Effect.sync(() => ends.push(Exit.isInterrupted(exit) ? "interrupted" : "other"))
          )
        )
      ).pipe(Scope.extend(scope))
      const failures = yield* collect("telemetry.handler.failure")
      yield* Telemetry.execute("a")
      yield* Telemetry.execute("a")
      yield* Scope.close(scope, Exit.void)
      expect(ends).toEqual(["interrupted", "interrupted"])
      expect(failures).toEqual([])
    }).pipe(withTelemetry)
  )

  it.effect("is interrupted when the layer is released, however long its attachment was meant to last", () =>
    Effect.gen(function* () {
      const outer = yield* Effect.scope
      const ends: Array<string> = []
      const telemetry = yield* Effect.scoped(
        Effect.gen(function* () {
          const context = yield* Layer.build(Telemetry.layer)
          const telemetry = Context.get(context, Telemetry)
          yield* telemetry
            .attach("slow", "a", () =>
              Effect.onInterrupt(Effect.never, () => Effect.sync(() => ends.push("interrupted")))
            )
            .pipe(Scope.extend(outer))
          yield* telemetry.execute("a")
          return telemetry
        })
      )
      expect(ends).toEqual(["interrupted"])
      let called = 0
      yield* telemetry.attach("late", "a", () => {
        called++
      })
      yield* telemetry.execute("a")
      expect(called).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.effect("can close its own attachment without waiting for itself, in its step and later", () =>
    Effect.gen(function* () {
      for (const before of [Effect.void, Effect.yieldNow()]) {
        const scope = yield* Scope.make()
        const ends: Array<string> = []
        yield* Telemetry.attach("self", "a", () =>
          before.pipe(
            Effect.zipRight(Scope.close(scope, Exit.void)),
            Effect.zipRight(Effect.never),
            Effect.onInterrupt(() => Effect.sync(() => ends.push("interrupted")))
          )
        ).pipe(Scope.extend(scope))
        yield* Telemetry.execute("a")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 0)))
        expect(ends).toEqual(["interrupted"])
        expect(yield* Telemetry.attached).toEqual([])
      }
    }).pipe(withTelemetry)
  )

  it.live("does not keep the process alive", () =>
    Effect.gen(function* () {
      const { execFile } = yield* Effect.promise(() => import("node:child_process"))
      const program = `
        import { Effect } from "effect"
        import { Telemetry } from "${new URL("../../src/Telemetry.ts", import.meta.url).href}"
        const telemetry = Effect.runSync(Effect.scoped(Effect.gen(function* () {
          yield* Telemetry.attach("slow", "a", () => Effect.never)
          yield* Telemetry.execute("a")
          return yield* Telemetry.attached
        })).pipe(Effect.provide(Telemetry.layer)))
        console.log(telemetry[0].running)
      `
      const out = yield* Effect.async<string, Error>((resume) => {
        execFile(
          process.execPath,
          ["--import", "tsx", "--input-type=module", "--eval", program],
          { timeout: 20_000 },
          (error, stdout) => resume(error === null ? Effect.succeed(stdout) : Effect.fail(error))
        )
      })
      expect(out.trim()).toBe("1")
    })
  )
})

describe("a selector that could never match", () => {
  it.effect("is refused as a defect that says what to write", () =>
    Effect.gen(function* () {
      for (const selector of ["", "a*", "**", []]) {
        const exit = yield* Effect.exit(Telemetry.attach("h", selector, () => {}))
        const defect = Exit.isFailure(exit) ? Option.getOrNull(Cause.dieOption(exit.cause)) : null
        expect(defect).toBeInstanceOf(ConfigError)
        expect(defect).toMatchObject({ reason: "invalid_value", path: "telemetry.h.selector" })
      }
      expect(yield* Telemetry.attached).toEqual([])
    }).pipe(withTelemetry)
  )
})
