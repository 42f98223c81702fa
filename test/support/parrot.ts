import { Effect, Stream } from "effect"
import { parent, runChild } from "./parent.js"

export type Said = { readonly args: ReadonlyArray<string> } | { readonly word: string }

/** A child that repeats what it hears. */
const { messages, send } = parent<Said, string>()

const repeat = (word: string) =>
  Effect.gen(function* () {
    if (word === "die") return yield* Effect.fail("pining for the fjords")
    yield* Effect.log(`heard ${word}`)
    yield* send({ word })
  })

runChild(
  Effect.gen(function* () {
    yield* send({ args: process.argv.slice(2) })
    yield* messages.pipe(
      Stream.takeWhile((word) => word !== "bye"),
      Stream.runForEach(repeat)
    )
  })
)
