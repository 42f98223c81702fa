import type { Tables } from "./Tables.js"

/**
 * The fourth schema: the indexes of fields keep a list of new entries beside them, of which many are sorted in at once. Each
 * by itself took two fifths of the server's time for a store.
 *
 * Every search reads the list, so it is short. At 64 kB, the least that PostgreSQL allows, a full one takes 0.1 ms of a
 * search, and the store that fills it sorts it in for 2 to 7 ms; without a list, every group of 64 took 2 to 4. At 512 kB
 * that is up to 1.2 ms and 45, and stores are no faster.
 *
 * What is in the list is as safe as what is in the index: both are in the log of the server. Nothing is built anew, whatever
 * the size of the table. The change waits for transactions that have stored, and others wait behind it: so it lets go before
 * long, and is tried again until the deadline.
 */
export const postgresPending = ({ events }: Tables): ReadonlyArray<string> => [
  "set local lock_timeout = '50ms'",
  ...["data", "metadata"].map(
    (column) => `alter index ${events}_${column} set (fastupdate = on, gin_pending_list_limit = 64)`
  )
]
