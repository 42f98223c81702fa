import { Console } from "node:console"
import { createInterface } from "node:readline"
import { Effect, Mailbox, Stream } from "effect"

// What is logged goes to stderr: stdout is for messages.
Object.assign(console, new Console(process.stderr, process.stderr))

/** Of a child: tells the test that started it, one JSON line a message. In the pipe when this answers. */
export const tell = (message: unknown) => Effect.sync(() => void process.stdout.write(`${JSON.stringify(message)}\n`))

/**
 * Of a child: what the test says to it. The child ends when the test that started it has ended, in whatever way.
 */
export const told = <A>(): Stream.Stream<A> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const mailbox = yield* Mailbox.make<A>()
      const lines = createInterface({ input: process.stdin })
      lines.on("line", (line) => mailbox.unsafeOffer(JSON.parse(line)))
      lines.on("close", () => process.exit(0))
      return Mailbox.toStream(mailbox)
    })
  )
