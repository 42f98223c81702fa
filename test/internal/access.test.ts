import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit } from "effect"
import { expectTypeOf } from "vitest"
import { accessing } from "../../src/internal/access.js"

const greeting = accessing(() => Greeting)

class Greeting extends Context.Tag("test/Greeting")<Greeting, { readonly text: string }>() {
  // Runs while the class is being defined.
  static readonly letters = greeting((service) => Effect.succeed(service.text.length))
}

describe("accessing", () => {
  it.effect("runs with the service that is provided, the nearest one", () =>
    Effect.gen(function* () {
      const text = greeting((service) => Effect.succeed(service.text))
      const both = Effect.all([text, Effect.provideService(text, Greeting, { text: "inner" }), Greeting.letters])
      expect(yield* Effect.provideService(both, Greeting, { text: "outer" })).toEqual(["outer", "inner", 5])
    })
  )

  it.effect("looks the service up each time that it runs, not when it is made", () =>
    Effect.gen(function* () {
      const text = greeting((service) => Effect.succeed(service.text))
      expect(yield* Effect.provideService(text, Greeting, { text: "one" })).toBe("one")
      expect(yield* Effect.provideService(text, Greeting, { text: "two" })).toBe("two")
    })
  )

  it("dies where the service is missing, and where `use` throws, as a tag does", () => {
    const run = (effect: Effect.Effect<unknown, never, Greeting>) =>
      // The requirement is left open on purpose.
      Effect.runSyncExit(effect as Effect.Effect<unknown>)
    const reason = (exit: Exit.Exit<unknown, unknown>) =>
      Exit.isFailure(exit) && Cause.isDie(exit.cause) ? String(Cause.squash(exit.cause)) : "no defect"
    expect(reason(run(Greeting.letters))).toContain("Service not found: test/Greeting")
    expect(reason(run(Greeting.letters))).toBe(reason(run(Effect.asVoid(Greeting))))
    const throwing = greeting((): Effect.Effect<void> => {
      throw new Error("thrown")
    })
    expect(reason(run(Effect.provideService(throwing, Greeting, { text: "" })))).toBe("Error: thrown")
  })

  it("asks for the service beside what `use` asks for", () => {
    expectTypeOf(Greeting.letters).toEqualTypeOf<Effect.Effect<number, never, Greeting>>()
    expectTypeOf(greeting(() => Effect.fail("no" as const))).toEqualTypeOf<Effect.Effect<never, "no", Greeting>>()
  })
})
