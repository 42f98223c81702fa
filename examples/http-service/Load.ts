import autocannon from "autocannon"
import { Effect } from "effect"

/** Everything that became of the requests that were sent. */
export interface Load {
  readonly sent: number
  /** How many answers there were of each status. */
  readonly answers: Readonly<Record<number, number>>
  /** Not sent, or not answered, because there was no connection or it broke. */
  readonly failed: number
  /** Not answered because the connection was closed. */
  readonly cut: number
  /** Without an answer for 5 seconds. */
  readonly hung: number
}

export const answered = ({ answers }: Pick<Load, "answers">): number =>
  Object.values(answers).reduce((sum, count) => sum + count, 0)

export interface Options {
  readonly url: URL
  readonly amount: number
  readonly connections: number
  /** Is told of each answer: how many there are by now. */
  readonly onAnswer?: (count: number) => void
}

/** Has autocannon order that many times, as fast as it goes over so many connections. */
export const order = ({ amount, connections, onAnswer, url }: Options) =>
  Effect.async<Load>((resume) => {
    let count = 0
    const answers: Record<number, number> = {}
    const generator = autocannon(
      {
        url: String(new URL("/orders", url)),
        method: "POST",
        body: JSON.stringify({ customer: "ada", item: "tea", cents: 450 }),
        amount,
        connections,
        timeout: 5
      },
      (error, result) => {
        if (error) return resume(Effect.die(error))
        const { errors, timeouts } = result
        const sent = result.requests.sent
        const cut = sent - count - errors
        resume(Effect.succeed({ sent, answers, failed: errors - timeouts, cut, hung: timeouts }))
      }
    )
    generator.on("response", (_client, status) => {
      answers[status] = (answers[status] ?? 0) + 1
      count++
      onAnswer?.(count)
    })
    return Effect.sync(() => generator.stop())
  })
