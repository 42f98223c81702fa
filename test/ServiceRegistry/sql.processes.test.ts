import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { startPostgres } from "../../examples/servers/Postgres.js"
import { freshDatabase } from "../support/postgres.js"
import { makeProxy } from "../support/proxy.js"
import { stopOutsideOfWrite } from "../support/stopOutsideOfWrite.js"
import type { Belief } from "./Beliefs.js"
import { type Contender, makeCluster, until } from "./cluster.js"

const names = Array.from({ length: 100 }, (_, index) => `name-${index}`)
const now = () => Number(process.hrtime.bigint() / 1000n)

const file = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "registry-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  ),
  (directory) => join(directory, "registry.db")
)

describe("processes that share names", () => {
  for (const [database, url] of [
    ["PostgreSQL", freshDatabase],
    ["a SQLite file", file]
  ] as const) {
    it.scopedLive(
      `on ${database}: five race for 100, and none is ever held twice, through kill -9, SIGSTOP and a leave`,
      () =>
        Effect.gen(function* () {
          const { beliefs, start } = yield* makeCluster("2 seconds")
          const where = yield* url
          const all = yield* Effect.all(Array.from({ length: 5 }, () => start(where)))
          const held = (by: ReadonlyArray<Contender>) => by.flatMap(({ address }) => beliefs.heldBy(address))
          const raced = [...names, ...all.map((_, index) => `first-${index}`)]
          const allHeldBy = (by: ReadonlyArray<Contender>) => () =>
            held(by).length === raced.length && new Set(held(by)).size === raced.length
          const [killed, stopped, leaving, ...rest] = all
          if (killed === undefined || stopped === undefined || leaving === undefined) throw new Error("five were made")

          // One that each is sure to have, and then all race for all.
          yield* Effect.forEach(all, ({ child }, index) => child.send({ contend: [`first-${index}`] }))
          yield* until("each has its first", () => held(all).length === all.length)
          yield* Effect.forEach(all, ({ child }) => child.send({ contend: raced }))
          yield* until("each name is held, by one", allHeldBy(all))
          expect(beliefs.conflicts()).toEqual([])

          yield* killed.child.kill("SIGKILL")
          yield* typeof where === "string" ? stopOutsideOfWrite(stopped.child, where) : stopped.child.kill("SIGSTOP")
          yield* until("the others have all names", allHeldBy([leaving, ...rest]))
          const thawedAt = now()
          yield* stopped.child.kill("SIGCONT")
          yield* until("the stopped one speaks", () => (beliefs.heardAt.get(stopped.address) ?? 0) > thawedAt)
          // It knows at once that it has nothing any more, before it has asked anybody.
          const stillHeld = ({ by, from, to }: Belief) => by === stopped.address && from < thawedAt && to > thawedAt
          expect(beliefs.all.filter(stillHeld)).toEqual([])

          yield* leaving.child.send("leave")
          yield* until("the rest has all names", allHeldBy([stopped, ...rest]))

          expect(beliefs.conflicts()).toEqual([])
          const told = rest.flatMap(({ said }) => said.flatMap((one) => (one.is === "told" ? [one] : [])))
          const reasons = (by: Contender) =>
            new Set(
              told.filter((one) => one.by === by.address && one.change !== "Registered").map(({ change }) => change)
            )
          expect(reasons(killed)).toContain("expired")
          expect(reasons(leaving)).toContain("closed")
        }),
      240_000
    )
  }

  /** A server of its own, with a process that keeps names, one that wants them, and one that only looks. */
  const outage = Effect.gen(function* () {
    const server = yield* startPostgres()
    const proxy = yield* makeProxy(server.port)
    const { beliefs, start } = yield* makeCluster("2 seconds")
    const [keeper, looker] = yield* Effect.all([start(proxy.through(server.url)), start(server.url)])
    yield* keeper.child.send({ keep: names })
    yield* looker.child.send({ follow: names })
    const found = () => looker.said.flatMap((one) => (one.is === "found" ? [one] : []))
    yield* until(
      "all names are held, and seen elsewhere",
      () => beliefs.heldBy(keeper.address).length === names.length && found().at(-1)?.names === names.length
    )
    return { server, proxy, beliefs, start, keeper, looker, found }
  })

  for (const [what, down, up] of [
    ["stopped and started again", "stop", "start"],
    ["frozen and thawed", "freeze", "thaw"]
  ] as const) {
    it.scopedLive(
      `while the database is ${what}, past all leases: who held gives up and has it back, and nobody is evicted`,
      () =>
        Effect.gen(function* () {
          const { beliefs, found, keeper, looker, server } = yield* outage
          const tokens = beliefs.tokensOf(keeper.address)
          yield* server[down]
          const downAt = now()
          yield* until("the keeper has given all up", () => beliefs.heldBy(keeper.address).length === 0)
          yield* until("what is known is older than a lease", () => (found().at(-1)?.staleness ?? 0) > 3000)
          yield* server[up]
          yield* until("the keeper has all back", () => beliefs.heldBy(keeper.address).length === names.length)
          yield* until("what is known is fresh", () => (found().at(-1)?.staleness ?? 0) < 2500)
          expect(beliefs.tokensOf(keeper.address)).toEqual(tokens)
          expect(beliefs.conflicts()).toEqual([])
          // All the while, the other process knew all names, and was told of no end.
          expect(found().filter((one) => one.at > downAt && one.names < names.length)).toEqual([])
          expect(looker.said.filter((one) => one.is === "told" && one.change !== "Registered")).toEqual([])
          const reasons = keeper.said.flatMap((one) => (one.is === "told" ? [one.change] : []))
          expect(new Set(reasons)).toEqual(new Set(["Registered", "expired"]))
        }),
      240_000
    )
  }

  it.scopedLive(
    "a process that is cut off gives up before another takes over, and finds that it has lost when it is back",
    () =>
      Effect.gen(function* () {
        const { beliefs, keeper, proxy, server, start } = yield* outage
        const other = yield* start(server.url)
        yield* other.child.send({ contend: names.slice(0, 50) })
        yield* proxy.blackhole
        yield* until("the other has half of the names", () => beliefs.heldBy(other.address).length === 50)
        // What it said may arrive after what the other said; when it was so, the conflicts below tell.
        yield* until("the cut one has nothing", () => beliefs.heldBy(keeper.address).length === 0)
        yield* proxy.heal
        yield* until("the cut one has the rest back", () => beliefs.heldBy(keeper.address).length === 50)
        expect(beliefs.heldBy(keeper.address)).toEqual(names.slice(50))
        expect(beliefs.heldBy(other.address)).toHaveLength(50)
        expect(beliefs.conflicts()).toEqual([])
      }),
    240_000
  )
})
