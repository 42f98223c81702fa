/**
 * The arithmetic of leases, in whole microseconds of the monotonic clock of the process that holds one.
 *
 * The database counts a lease from the moment in which it grants it; its holder counts from the moment before it asked,
 * and stops a tenth earlier. So the holder has stopped before the database gives the name to another, as long as within
 * one lease the clock of the database gains less than that tenth on the clock of the holder. No message has to arrive for
 * that, and no two clocks have to agree on the time of day.
 */
export interface Terms {
  /** For how long the database grants. */
  readonly length: number
  /** By how much earlier the holder stops. */
  readonly margin: number
  /** After how long it renews. */
  readonly every: number
}

export const termsOf = (length: number): Terms => ({
  length,
  margin: Math.ceil(length / 10),
  every: Math.floor(length / 3)
})

/** Until when a holder may believe in what it asked for at `sentAt`, and got. */
export const validUntil = ({ length, margin }: Terms, sentAt: number): number => sentAt + length - margin

export const isValid = (until: number, now: number): boolean => now < until

/**
 * Until when, after a renewal that was asked for at `sentAt` has succeeded. A lease that has run out meanwhile stays so,
 * since whoever read in between was told so; and an answer that overtook a later one takes nothing back.
 */
export const renewed = (terms: Terms, until: number, sentAt: number, now: number): number =>
  isValid(until, now) ? Math.max(until, validUntil(terms, sentAt)) : until

/** How long to wait before the next renewal; `random` is from 0 to 1. The processes of a fleet spread by themselves. */
export const renewAfter = ({ every }: Terms, random: number): number => Math.floor(every * (0.8 + 0.4 * random))

/** How long to wait after a renewal that failed: from a sixtieth of the lease to a fifteenth. */
export const retryAfter = ({ length }: Terms, failures: number, random: number): number =>
  Math.floor((Math.min(length / 60, 50_000) * 2 ** Math.min(failures, 2) + length / 60) * (0.5 + random / 2))

/** How long one attempt may take: there should be time for another. */
export const attemptWithin = ({ every }: Terms, until: number, now: number): number =>
  Math.max(1, Math.min(every, until - now))
