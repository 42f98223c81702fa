import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Clock, Console, Effect } from "effect"
import { startRedis } from "../servers/Redis.js"
import { startWorkers } from "./Fleet.js"
import { limit, type Said } from "./Protocol.js"
import { startProvider } from "./Provider.js"
import { judge, summary, table } from "./Report.js"

const size = 4

/** Waits until every worker has said such a thing. */
const until = (book: ReadonlyArray<ReadonlyArray<Said>>, isSuch: (message: Said) => boolean) =>
  Effect.sleep("20 millis").pipe(
    Effect.repeat({ until: () => book.every((said) => said.some(isSuch)) }),
    Effect.timeoutOption("1 minute")
  )

/** Four processes call one provider, which breaks for a while. They share a limit and a circuit through Redis. */
const demo = Effect.gen(function* () {
  const redis = yield* startRedis()
  const provider = yield* startProvider
  const book: ReadonlyArray<Array<Said>> = Array.from({ length: size }, () => [])
  yield* Console.log(`${size} processes want some 200 calls a second; the limit for all is ${limit.maxRequests}.`)
  yield* startWorkers(size, [`redis://127.0.0.1:${redis.port}`, provider.url], (worker, message) => {
    book[worker]?.push(message)
    if (worker === 0 && message.said === "changed") console.log(`  circuit ${message.to}`)
  })

  yield* until(book, (message) => message.said === "ended" && message.end === "ok")
  yield* Effect.sleep("2500 millis")
  yield* Console.log("The provider breaks.")
  const broke = yield* Clock.currentTimeMillis
  yield* provider.fail
  yield* Effect.sleep("4 seconds")
  yield* Console.log("The provider works again.")
  const recovered = yield* Clock.currentTimeMillis
  yield* provider.recover
  yield* until(book, (message) => message.said === "changed" && message.to === "closed" && message.at >= recovered)
  yield* Effect.sleep("1500 millis")

  const verdict = judge(book, provider.visits, broke)
  yield* Console.log(`\n${table(book)}\n\n${summary(verdict)}`)
  return verdict.holds
}).pipe(Effect.scoped)

demo.pipe(
  Effect.catchTag("RedisFailed", (error) => Effect.as(Console.error(error.message), false)),
  Effect.tap((holds) =>
    Effect.sync(() => {
      process.exitCode = holds ? 0 : 1
    })
  ),
  NodeRuntime.runMain
)
