import { createHash } from "node:crypto"
import type { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import { type Pool, type PoolClient, Query, types } from "pg"
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
  const connections = new Connections(pool)
  return (question, millis) =>
    Effect.withFiberRuntime((fiber) => (isUsual(fiber) ? ask(connections, question, millis) : usual(question, millis)))
}

const liveTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

const isUsual = (fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean =>
  fiber.currentTracer === liveTracer && clockOf(fiber) === liveClock

const ask = (connections: Connections, question: Question, millis: number): Effect.Effect<Rows, SqlFailure> =>
  Effect.async((resume) => {
    let ended = false
    let client: PoolClient | undefined
    /** What still needs the connection: the statement, and what cancels it, which must not meet the next one. */
    let uses = 1
    const leave = (leaving: (client: PoolClient) => void = release) => {
      if (--uses === 0 && client !== undefined) leaving(client)
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
      connections.take((_, canceller) => {
        if (canceller === undefined) return
        if (uses === 0) return release(canceller)
        uses++
        canceller.query(`select pg_cancel_backend(${process})`, () => {
          release(canceller)
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
    connections.take((error, taken) => {
      if (taken === undefined) return end(failed(error, "Failed to acquire connection"))
      client = taken
      if (ended) return leave()
      connections.answer(taken, question, (error, rows) => {
        if (rows === undefined) {
          end(failed(error, "Failed to execute statement"))
          // It may be about to end.
          leave()
        } else {
          end(Effect.succeed(rows))
          leave(connections.giveBack)
        }
      })
    })
    return Effect.sync(giveUp)
  })

/**
 * The connections of a pool. Whoever asks again in the step in which it is answered has the same one in that step: without
 * the timers of the pool, and not behind all other fibers that can run.
 */
class Connections {
  /** What was given back in this step. */
  private spare: PoolClient | undefined
  /** Something between the pool and the server hands one session to many: a name is not known there again. */
  private nameless = false

  constructor(private readonly pool: Pool) {}

  take(use: (error: unknown, client: PoolClient | undefined) => void): void {
    const { spare } = this
    if (spare !== undefined) {
      this.spare = undefined
      use(undefined, spare)
      return
    }
    this.pool.connect((error, client) => {
      // The pool listens to idle ones only. Who waits for the answer of one that is lost is told so.
      client?.on("error", ignored)
      use(error, client)
    })
  }

  /** To be called when those are on their way who may take it again. */
  readonly giveBack = (client: PoolClient): void => {
    if (this.spare !== undefined || this.pool.waitingCount > 0) release(client)
    else {
      this.spare = client
      queueMicrotask(this.releaseSpare)
    }
  }

  private readonly releaseSpare = () => {
    if (this.spare !== undefined) release(this.spare)
    this.spare = undefined
  }

  answer(client: PoolClient, question: Question, done: (error: unknown, rows?: Rows) => void): void {
    const { keeps = false, text } = question
    const name = keeps && !this.nameless ? nameOf(text) : undefined
    const asked = new Asked(question, name, (error) => {
      if (name !== undefined && isOfNames(error)) {
        this.nameless = true
        return this.answer(client, question, done)
      }
      if (error) done(error)
      else done(undefined, asked.lists)
    })
    client.query(asked)
  }
}

const release = (client: PoolClient): void => {
  client.off("error", ignored)
  client.release()
}

/** A query of the driver that answers rows as lists. To have it copy a configuration, as it does, took 12 µs of each. */
class Asked extends Query {
  readonly lists: Array<ReadonlyArray<unknown>> = []
  private parsers: ReadonlyArray<(text: string) => unknown> = []

  constructor(
    { params, text }: Question,
    readonly name: string | undefined,
    done: (error: unknown) => void
  ) {
    super(text, params, done)
  }

  handleRowDescription({ fields }: { readonly fields: ReadonlyArray<{ readonly dataTypeID: number }> }): void {
    this.parsers = fields.map(({ dataTypeID }) => types.getTypeParser(dataTypeID, "text"))
  }

  handleDataRow({ fields }: { readonly fields: ReadonlyArray<string | null> }): void {
    this.lists.push(fields.map((text, column) => (text === null ? null : this.parsers[column]?.(text))))
  }
}

const ignored = (): void => undefined

const failed = (cause: unknown, message: string) => Effect.fail(failureOf(new SqlError({ cause, message })))

/** The process of the server, which the driver knows. */
const processOf = (client: PoolClient): number | undefined =>
  "processID" in client && typeof client.processID === "number" ? client.processID : undefined

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
