import { createHash } from "node:crypto"
import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import type { Pool, PoolClient } from "pg"
import { clockOf, liveClock } from "../../monotonic.js"
import { failureOf, type SqlFailure, timedOut } from "../Failure.js"
import { guarded } from "../Guard.js"

/** A statement and its parameters. */
export interface Question {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
  /** One plan does for all parameters: the statement is named, and so is taken apart and planned once for a connection. */
  readonly keeps?: boolean
}

export type Rows = ReadonlyArray<ReadonlyArray<unknown>>

/** The pools of the clients that this library has made. Those of others keep theirs to themselves. */
const pools = new WeakMap<SqlClient, Pool>()

/** Lets `prepared` use the pool of the client. */
export const keepPool = (sql: SqlClient, pool: Pool): void => {
  pools.set(sql, pool)
}

/** Answers the rows of a statement as lists, within so many milliseconds. */
export type Ask = (question: Question, millis: number) => Effect.Effect<Rows, SqlFailure>

/**
 * Asks the pool of the client itself, by statements that the server takes apart once for a connection. What @effect/sql
 * does around a statement, which it does not name, and a fiber for the deadline took half the time of a store. Past the
 * deadline, or interrupted, the statement is cancelled, and nobody waits for that.
 *
 * Never in a transaction. `otherwise` is asked where the pool is not known, where spans are collected, and where the time
 * is that of a test.
 */
export const prepared = (sql: SqlClient, otherwise: (question: Question) => Effect.Effect<Rows, SqlError>): Ask => {
  const pool = pools.get(sql)
  const usual: Ask = (question, millis) => guarded(otherwise(question), millis)
  if (pool === undefined) return usual
  return (question, millis) =>
    Effect.withFiberRuntime((fiber) => (isUsual(fiber) ? ask(pool, question, millis) : usual(question, millis)))
}

const liveTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

const isUsual = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean =>
  fiber.currentTracer === liveTracer && clockOf(fiber) === liveClock

const ask = (pool: Pool, question: Question, millis: number): Effect.Effect<Rows, SqlFailure> =>
  Effect.async((resume) => {
    let ended = false
    let client: PoolClient | undefined
    let release: () => void = ignored
    /** What still needs the connection: the statement, and what cancels it, which must not meet the next one. */
    let uses = 1
    const leave = () => {
      if (--uses === 0) release()
    }
    const end = (exit: Effect.Effect<Rows, SqlFailure>) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      resume(exit)
    }
    const giveUp = () => {
      ended = true
      clearTimeout(timer)
      const process = client === undefined || uses === 0 ? undefined : processOf(client)
      if (process === undefined) return
      // Where it has to wait for a connection, the statement may end by itself.
      hold(pool, (_, canceller, release) => {
        if (canceller === undefined || uses === 0) return release()
        uses++
        canceller.query(`select pg_cancel_backend(${process})`, () => {
          release()
          leave()
        })
      })
    }
    // As the clock of the fiber sleeps, but without a fiber.
    // @effect-diagnostics-next-line globalTimers:off
    const timer = setTimeout(() => {
      end(Effect.fail(timedOut()))
      giveUp()
    }, millis)
    hold(pool, (error, connected, letGo) => {
      if (connected === undefined) return end(failed(error, "Failed to acquire connection"))
      client = connected
      release = letGo
      if (ended) return leave()
      answer(pool, client, question, (error, rows) => {
        leave()
        end(rows === undefined ? failed(error, "Failed to execute statement") : Effect.succeed(rows))
      })
    })
    return Effect.sync(giveUp)
  })

/** A connection of the pool, which listens to idle ones only. Who waits for the answer of one that is lost is told so. */
const hold = (pool: Pool, use: (error: unknown, client: PoolClient | undefined, release: () => void) => void): void =>
  pool.connect((error, client) => {
    if (client === undefined) return use(error, undefined, ignored)
    client.on("error", ignored)
    use(undefined, client, () => {
      client.off("error", ignored)
      client.release()
    })
  })

const ignored = (): void => undefined

const failed = (cause: unknown, message: string) => Effect.fail(failureOf(new SqlError({ cause, message })))

/** The process of the server, which the driver knows. */
const processOf = (client: PoolClient): number | undefined =>
  "processID" in client && typeof client.processID === "number" ? client.processID : undefined

/** The pools between which and the server something hands one session to many: a name is not known there again. */
const nameless = new WeakSet<Pool>()

const answer = (
  pool: Pool,
  client: PoolClient,
  question: Question,
  done: (error: unknown, rows?: Rows) => void
): void => {
  const { keeps = false, params, text } = question
  const config = { text, values: [...params], rowMode: "array" as const }
  const name = keeps && !nameless.has(pool) ? nameOf(text) : undefined
  client.query(name === undefined ? config : { ...config, name }, (error: unknown, result) => {
    if (name !== undefined && isOfNames(error)) {
      nameless.add(pool)
      return answer(pool, client, question, done)
    }
    if (error) done(error)
    else done(undefined, result.rows)
  })
}

/** The server knows no statement of that name, or has one already. */
const isOfNames = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "26000" || error.code === "42P05")

const names = new Map<string, string>()

/** The name of a text, which is the same in every process: who shares a session, shares its statements. */
const nameOf = (text: string): string => {
  const known = names.get(text)
  if (known !== undefined) return known
  const name = `foundation_${createHash("sha256").update(text).digest("hex").slice(0, 40)}`
  names.set(text, name)
  return name
}
