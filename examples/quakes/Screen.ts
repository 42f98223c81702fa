import { Effect, Schedule } from "effect"
import { coloured, count, plain, type Style, seconds } from "./Format.js"
import { bar } from "./Report.js"

export interface Progress {
  readonly done: number
  readonly total: number
  /** What else there is to say, in a few words. */
  readonly note: string
}

/** Where it is written: the standard output, if nothing else is said. */
export interface Output {
  readonly write: (text: string) => unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** How often a terminal draws the bar anew. */
const frame = "80 millis"

/** Where there is no terminal, a line is printed after each such part of the whole. */
const parts = 5

/**
 * Lines of text, above a bar that a terminal shows at the bottom. With `NO_COLOR`, or where the output is no terminal,
 * there is no bar, no colour and no control character, and the progress is a line from time to time.
 */
export const makeScreen = Effect.fn(function* (output: Output = process.stdout) {
  const live = output.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb"
  const style: Style = live ? coloured : plain
  const clearLine = live ? "\r\u001b[K" : ""
  const clock = yield* Effect.clock
  const started = clock.unsafeCurrentTimeMillis()
  const elapsed = () => clock.unsafeCurrentTimeMillis() - started

  const print = (line = "") => void output.write(`${clearLine}${line}\n`)
  const section = (lines: ReadonlyArray<string>) => {
    print()
    for (const line of lines) print(line === "" ? line : `  ${line}`)
  }
  const happened = (part: string, what: string) =>
    print(`${style.dim(seconds(elapsed()).padStart(7))}  ${style.bold(part.padEnd(8))}  ${what}`)

  const draw = ({ done, total, note }: Progress) => {
    const width = Math.max(0, Math.min(30, (output.columns || 80) - 50))
    output.write(
      `${clearLine}  ${bar(done, total, width, style)}  ${count(done).padStart(5)} of ${count(total)}  ${note}`
    )
  }
  let said = 0
  const say = ({ done, total, note }: Progress) => {
    const part = Math.floor((done / total) * parts)
    if (part > said) happened("progress", `${count(done)} of ${count(total)} quakes, ${note}`)
    said = part
  }

  return {
    style,
    elapsed,
    happened,
    section,
    /** Shows the progress until it is interrupted. */
    show: <R>(progress: Effect.Effect<Progress, never, R>) =>
      Effect.map(progress, live ? draw : say).pipe(
        Effect.repeat(Schedule.spaced(frame)),
        Effect.ensuring(Effect.sync(() => output.write(clearLine)))
      )
  }
})

export type Screen = Effect.Effect.Success<ReturnType<typeof makeScreen>>
