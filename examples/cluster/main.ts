/** A name that moves when its holder is killed: `npx tsx examples/cluster/main.ts` */
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { NodeRuntime } from "@effect/platform-node"
import { ConfigProvider, Console, Effect, Layer, Redacted, Stream } from "effect"
import { ServiceRegistry } from "effect-foundation"
import { startPostgres } from "../servers/Postgres.js"
import { SharedRegistry } from "./Registry.js"

const names = ["ada", "bob", "cyd"]

const startNode = (name: string, url: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "node.ts"), name], {
        env: { ...process.env, DATABASE_URL: url },
        stdio: ["ignore", "ignore", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  ).pipe(Effect.map((child) => [name, child] as const))

/** Asks whoever is the printer, as one of many clients would. */
const ask = Effect.gen(function* () {
  const printer = yield* ServiceRegistry.waitFor("printer")
  const name = yield* Effect.promise(() => fetch(String(printer.process)).then((response) => response.text()))
  yield* Console.log(`  The printer is ${name}, at ${printer.process} under token ${printer.token}`)
  return { name, token: printer.token }
})

/** Ends the process in this way, and answers how the others were told. */
const end = (child: ChildProcess | undefined, signal: NodeJS.Signals) =>
  Effect.gen(function* () {
    const asked = performance.now()
    const told = yield* ServiceRegistry.watch({ name: "printer" }).pipe(
      Stream.tap((change) => Effect.sync(() => change._tag === "Snapshot" && child?.kill(signal))),
      Stream.filter((change) => change._tag === "Unregistered"),
      Stream.runHead,
      Effect.flatten
    )
    yield* Console.log(`  ${Math.round(performance.now() - asked)} ms later the name is free: ${told.reason}`)
    return told.reason
  })

const program = (url: string) =>
  Effect.gen(function* () {
    yield* Console.log(
      `Three processes and a client share one PostgreSQL; each would be the printer: ${names.join(", ")}`
    )
    const nodes = new Map(yield* Effect.forEach(names, (name) => startNode(name, url)))
    const first = yield* ask
    yield* Console.log(`${first.name} is killed by SIGKILL: it says nothing, and its lease runs out`)
    const reasons = [yield* end(nodes.get(first.name), "SIGKILL")]
    const second = yield* ask
    yield* Console.log(`${second.name} is asked to end: it gives the name up`)
    reasons.push(yield* end(nodes.get(second.name), "SIGTERM"))
    const third = yield* ask

    const holders = new Set([first, second, third].map(({ name }) => name))
    const grows = first.token < second.token && second.token < third.token
    yield* Console.log(
      `${holders.size} holders, one after the other, and the token ${grows ? "only grew" : "did not grow"}`
    )
    if (holders.size !== 3 || !grows || reasons.join() !== "expired,closed") {
      return yield* Effect.dieMessage("The name did not move as it should")
    }
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Layer.provide(SharedRegistry, Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["DATABASE_URL", url]]))))
    ),
    Effect.timeout("20 seconds")
  )

Effect.flatMap(startPostgres(), ({ url }) => program(Redacted.value(url))).pipe(Effect.scoped, NodeRuntime.runMain)
