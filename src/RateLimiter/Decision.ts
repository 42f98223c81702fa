/**
 * The answer to one call. Times are whole microseconds from now.
 *
 * A class, so that every algorithm makes the same shape from its first call on. Object literals with zeros in one place and
 * large numbers in another begin with different shapes, and V8 converts those that were made under an old one at each call: a
 * fixed window beside another algorithm took 1 µs more, more than twice its time.
 */
export class Decision {
  constructor(
    readonly admitted: boolean,
    /** The units left: after the call where it took, as they are where it did not. */
    readonly remaining: number,
    /** 0 where admitted; else the first moment at which a call of this cost is admitted, if none comes between. */
    readonly retryAfter: number,
    /** When the limit is as if never used. */
    readonly resetAfter: number
  ) {}
}
