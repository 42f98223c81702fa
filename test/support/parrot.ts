import { Effect, Stream } from "effect"
import { tell, told } from "./parent.js"

/** What it says first. */
export interface Ready {
  readonly ready: ReadonlyArray<string>
}

/** A child that repeats what it is told, and fails when told to. */
const program = Effect.gen(function* () {
  yield* tell({ ready: process.argv.slice(2) })
  yield* Effect.log("listening")
  yield* Stream.runForEach(told<string>(), (word) => {
    if (word === "fail") throw new Error("Pining for the fjords")
    return tell(word)
  })
})

Effect.runPromise(program)
