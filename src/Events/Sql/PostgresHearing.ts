import type { Tables } from "./Tables.js"

/**
 * Whether anybody hears of what is stored. A notice wakes every session of the database that listens to anything, and each
 * process has one for the configuration: beside 40 of them, a store that notified took 640 µs, and one that did not 230.
 * Transactions that notify also commit one after the other. So whoever stores in a transaction of its own notifies only where
 * somebody hears.
 *
 * - A session that listens has shared advisory locks, from before it looks for what it has missed until it ends.
 * - A transaction that has stored tries to get one of them for itself. Where it does, nobody listens; and whoever begins to
 *   waits for its end, and finds what it has stored.
 *
 * There are 16, of which the process of the server chooses one, so that those who store at the same time seldom meet: who
 * does not get it notifies.
 */
const count = 16

/** The sequence of the log, by which others are told apart, is the upper half of the key. */
const key = (log: string, number: string): string => `(${log}::bigint << 32) + ${number}`

/** What a session executes to be notified, when it listens already. `log` is the number of the sequence. */
export const attending = (log: string): string =>
  `select pg_advisory_lock_shared(${key(log, "number")}) from generate_series(0, ${count - 1}) as number`

/** The condition, in a transaction that ends soon, that nobody is to be notified. */
export const isUnheard = ({ position }: Tables): string =>
  `pg_try_advisory_xact_lock(${key(`'${position}'::regclass::oid`, `(pg_backend_pid() & ${count - 1})`)})`
