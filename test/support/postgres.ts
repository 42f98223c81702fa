import { randomUUID } from "node:crypto"
import { connect } from "node:net"
import { text } from "node:stream/consumers"
import { Effect, Redacted } from "effect"
import pg from "pg"
import { inject } from "vitest"
import type { Answer } from "./postgres.setup.js"

const ask = async () => {
  const answer: Answer = JSON.parse(await text(connect(inject("postgresDesk"), "127.0.0.1")))
  if ("failure" in answer) throw new Error(answer.failure)
  const admin = new pg.Pool({ connectionString: answer.url, max: 2, allowExitOnIdle: true })
  admin.on("error", () => {})
  return { admin, url: answer.url }
}

let asked: ReturnType<typeof ask> | undefined

/** The shared server and the connections of this file to it, which end with its process. */
const shared = Effect.promise(() => (asked ??= ask()))

const execute = (statement: string) =>
  Effect.flatMap(shared, ({ admin }) => Effect.promise(() => admin.query(statement)))

/**
 * The PostgreSQL that all test files share, started when first asked for. What needs a server that it can kill, freeze
 * or restart starts its own with `startPostgres`.
 */
export const sharedPostgres = Effect.map(shared, ({ url }) => Redacted.make(url))

/**
 * A database of its own, for some 30 ms. Nothing is shared with other tests but the server: channels of NOTIFY and
 * advisory locks are the database's own, the numbers of transactions are not. Dropped in the background when the scope
 * closes, whoever is still connected.
 */
export const freshDatabase = Effect.gen(function* () {
  const { url } = yield* shared
  const name = `test_${randomUUID().replaceAll("-", "")}`
  // Copying files costs half as much as the default, which writes them to the log.
  yield* Effect.acquireRelease(execute(`CREATE DATABASE ${name} STRATEGY file_copy`), () =>
    Effect.forkDaemon(execute(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  )
  const own = new URL(url)
  own.pathname = `/${name}`
  return Redacted.make(own.href)
})

/**
 * A schema of its own in a database that tests share, for less than a millisecond. Tables are apart; channels of NOTIFY
 * and advisory locks are not. It stays until the server ends: dropping it could wait for a lock that a test has left.
 */
export const freshSchema = Effect.gen(function* () {
  const { url } = yield* shared
  const name = `test_${randomUUID().replaceAll("-", "")}`
  yield* execute(`CREATE SCHEMA ${name}`)
  return Redacted.make(`${url}?options=-c%20search_path%3D${name}`)
})
