import { Effect } from "effect"
import { startPostgres } from "../../examples/servers/Postgres.js"
import { parent, runChild } from "./parent.js"

export interface Said {
  readonly pid: number | undefined
}

/** A child that keeps a PostgreSQL, and freezes it where its argument says so. */
const { send } = parent<Said>()

runChild(
  Effect.gen(function* () {
    const server = yield* startPostgres()
    if (process.argv[2] === "freeze") yield* server.freeze
    yield* send({ pid: yield* server.pid })
    return yield* Effect.never
  }).pipe(Effect.scoped)
)
