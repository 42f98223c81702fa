import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { startChild } from "./child.js"
import { isAlive } from "./isAlive.js"
import type { Said } from "./parrot.js"

const startParrot = (...args: ReadonlyArray<string>) =>
  startChild<Said, string>(new URL("./parrot.ts", import.meta.url), { args })

describe("a child", () => {
  it.scopedLive("is given arguments, hears and answers", () =>
    Effect.gen(function* () {
      const parrot = yield* startParrot("one", "two words")
      expect(yield* parrot.receive).toEqual({ args: ["one", "two words"] })
      yield* parrot.send("hello\nworld")
      expect(yield* parrot.receive).toEqual({ word: "hello\nworld" })
    })
  )

  it.scopedLive("ends the stream of what it says when it ends by itself", () =>
    Effect.gen(function* () {
      const parrot = yield* startParrot()
      yield* Effect.forEach(["a", "b", "bye"], parrot.send)
      expect([...(yield* Stream.runCollect(parrot.messages))]).toEqual([{ args: [] }, { word: "a" }, { word: "b" }])
      expect(yield* parrot.exit).toMatchObject({ code: 0, signal: null })
      expect(yield* Effect.flip(parrot.receive)).toMatchObject({ _tag: "ChildEnded", code: 0 })
    })
  )

  it.scopedLive("that fails says why, after all that it has said", () =>
    Effect.gen(function* () {
      const parrot = yield* startParrot()
      yield* Effect.forEach(["a", "die"], parrot.send)
      expect(yield* parrot.exit).toMatchObject({ code: 1, signal: null })
      expect(yield* parrot.receive).toEqual({ args: [] })
      expect(yield* parrot.receive).toEqual({ word: "a" })
      const end = yield* Effect.flip(parrot.receive)
      expect(end.message).toMatch(/^test\/support\/parrot\.ts ended with code 1: (.|\n)*pining for the fjords/)
    })
  )

  it.scopedLive("logs to stderr, not among its messages", () =>
    Effect.gen(function* () {
      const parrot = yield* startParrot()
      yield* Effect.forEach(["a", "bye"], parrot.send)
      yield* parrot.exit
      expect(yield* parrot.stderr).toContain("heard a")
    })
  )

  it.scopedLive("is killed, frozen and thawed by signals", () =>
    Effect.gen(function* () {
      const parrot = yield* startParrot()
      yield* parrot.receive
      yield* parrot.kill("SIGSTOP")
      yield* parrot.send("a")
      const answer = yield* Effect.fork(parrot.receive)
      const other = yield* startParrot()
      yield* other.send("b")
      yield* other.receive
      expect(yield* other.receive).toEqual({ word: "b" })
      expect(yield* Fiber.poll(answer)).toMatchObject({ _tag: "None" })
      yield* parrot.kill("SIGCONT")
      expect(yield* Fiber.join(answer)).toEqual({ word: "a" })
      yield* parrot.kill("SIGKILL")
      expect(yield* parrot.exit).toMatchObject({ code: null, signal: "SIGKILL" })
      expect((yield* Effect.flip(parrot.receive)).message).toContain("test/support/parrot.ts ended by SIGKILL")
    })
  )

  it.live("is gone when its scope has closed, even a frozen one", () =>
    Effect.gen(function* () {
      const pid = yield* Effect.scoped(
        Effect.gen(function* () {
          const parrot = yield* startParrot()
          yield* parrot.receive
          yield* parrot.kill("SIGSTOP")
          expect(isAlive(parrot.pid)).toBe(true)
          return parrot.pid
        })
      )
      expect(isAlive(pid)).toBe(false)
    })
  )
})
