import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { startChild } from "./child.js"
import type { Ready } from "./parrot.js"

const parrot = (...args: ReadonlyArray<string>) =>
  startChild<Ready | string, string>(new URL("./parrot.ts", import.meta.url), { args })

describe("a child", () => {
  it.scopedLive("says what it has to say, and hears", () =>
    Effect.gen(function* () {
      const child = yield* parrot("one", "two")
      expect(yield* child.receive).toEqual({ ready: ["one", "two"] })
      yield* child.send("hello\nworld")
      expect(yield* child.receive).toBe("hello\nworld")
      const t = performance.now()
    })
  )
})
