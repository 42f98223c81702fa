import * as Effect from "effect/Effect"
import type { RedisError } from "../../Redis/RedisError.js"
import type { Redis } from "../../Redis.js"
import type { Request, Verdict } from "../Backend.js"
import { Decision } from "../Decision.js"
import type { Keys } from "./Keys.js"
import { codeOf, forget, one, several } from "./Scripts.js"

/** What a script is asked of one limit: whether there is room for so much, and whether to take. */
interface Question {
  /** The units for which there has to be room: never more than the limit has. */
  readonly asked: number
  /** Full intervals that pass before that: calls ahead wait for more than the limit has at once. */
  readonly intervals: number
}

/** As `peekLine` asks the cores. */
const questionOf = ({ cost, limit, reserved }: Request): Question => {
  const units = cost + reserved
  const intervals = Math.max(0, Math.ceil(units / limit.maxRequests) - 1)
  return { asked: units - intervals * limit.maxRequests, intervals }
}

/** What the scripts answer of one limit, as the cores and `peekLine` would. */
const decisionOf = (
  { limit, reserved }: Request,
  intervals: number,
  remaining: number,
  retryAfter: number,
  resetAfter: number
): Decision =>
  new Decision(
    intervals === 0 && retryAfter === 0,
    reserved === 0 ? remaining : Math.max(0, remaining - reserved),
    retryAfter + intervals * limit.interval,
    resetAfter
  )

/** What becomes of a decision: called once, in this step or a later one. */
export type Decided = (error: RedisError | undefined, verdicts: ReadonlyArray<Verdict>, taken: number) => void

/** The state of a limit in Redis, decided on by one script a call. */
export class Decisions {
  constructor(
    private readonly redis: Redis.Service,
    private readonly keys: Keys,
    private readonly millis: number,
    /** The time of Redis, in tests. */
    private readonly now: (() => number) | undefined = undefined
  ) {}

  take(requests: ReadonlyArray<Request>, done: Decided): void {
    const [only] = requests
    if (only !== undefined && requests.length === 1) this.one(only, true, 0, this.millis, done)
    else this.several(requests, done)
  }

  peek(request: Request, done: Decided): void {
    this.one(request, false, 0, this.millis, done)
  }

  /** Takes the cost, and of `more` units beside it those that are left. */
  one(request: Request, taking: boolean, more: number, millis: number, done: Decided): void {
    const { limit } = request
    const { asked, intervals } = questionOf(request)
    const args: Array<string | number> = [limit.maxRequests, limit.interval]
    const take = taking && intervals === 0 ? request.cost : 0
    // What is left out the script takes as 1, as asked, and as 0.
    if (take !== asked || more !== 0 || this.now !== undefined) args.push(asked, take, more)
    else if (asked !== 1) args.push(asked)
    if (this.now !== undefined) args.push(this.now())
    this.redis.unsafeRun(one[limit.algorithm], [this.keys.of(limit, request.key)], args, millis, (error, reply) => {
      if (error !== undefined) {
        done(error, none, 0)
        return
      }

      const [remaining = 0, resetAfter = 0, retryAfter = 0, , taken = 0] = numbersOf(reply)
      done(undefined, [decisionOf(request, intervals, remaining, retryAfter, resetAfter)], taken)
    })
  }

  private several(requests: ReadonlyArray<Request>, done: Decided): void {
    const questions = requests.map(questionOf)
    const args: Array<string | number> = [
      questions.every(({ intervals }) => intervals === 0) ? 1 : 0,
      this.now === undefined ? "" : this.now()
    ]
    for (const [index, { cost, limit }] of requests.entries()) {
      args.push(codeOf(limit.algorithm), limit.maxRequests, limit.interval, questions[index]?.asked ?? cost, cost)
    }
    const keys = requests.map(({ key, limit }) => this.keys.of(limit, key))
    this.redis.unsafeRun(several, keys, args, this.millis, (error, reply) => {
      if (error !== undefined) {
        done(error, none, 0)
        return
      }
      const numbers = numbersOf(reply)
      const number = (at: number) => numbers[at] ?? 0
      done(
        undefined,
        requests.map((request, index) => {
          const at = index * 3
          const intervals = questions[index]?.intervals ?? 0
          return decisionOf(request, intervals, number(at), number(at + 1), number(at + 2))
        }),
        0
      )
    })
  }

  reset(limit: Request["limit"], key: string): Effect.Effect<void, RedisError> {
    return Effect.asVoid(this.redis.run(forget, [this.keys.of(limit, key)], [], this.millis))
  }
}

const none: ReadonlyArray<Verdict> = []

/** Our own scripts answer numbers; a client that was given may have been told to make texts of them. */
const numbersOf = (reply: unknown): ReadonlyArray<number> => (Array.isArray(reply) ? reply.map(Number) : [])
