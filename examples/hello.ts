import { Effect } from "effect"
import { Config, FoundationLive } from "effect-foundation"

const program = Effect.flatMap(Config.get("name", "world"), (name) => Effect.log(`Hello, ${name}`))

Effect.runPromise(program.pipe(Effect.provide(FoundationLive)))
