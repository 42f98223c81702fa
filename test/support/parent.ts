import { Console } from "node:console"
import { Socket } from "node:net"
import { createInterface } from "node:readline"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Mailbox, type Stream } from "effect"

// What is logged goes to stderr: stdout is for messages.
Object.assign(console, new Console(process.stderr, process.stderr))

/** The child's end of its line to the test that has started it, where it says `Out` and hears `In`. */
export const parent = <Out, In = never>() => {
  // What both sides say is typed where the child is started, and by the same types.
  const heard = Effect.runSync(Mailbox.make<In>())
  const lines = createInterface({ input: process.stdin })
  lines.on("line", (line) => heard.unsafeOffer(JSON.parse(line)))
  // The test has ended, in whatever way.
  lines.on("close", () => process.exit(1))
  // Hearing alone does not keep the child alive.
  if (process.stdin instanceof Socket) process.stdin.unref()
  return {
    /** Is in the pipe when this answers: the test reads it even if the child is killed next. */
    send: (message: Out) => Effect.sync(() => void process.stdout.write(`${JSON.stringify(message)}\n`)),
    receive: Effect.orDie(heard.take),
    messages: Mailbox.toStream(heard) as Stream.Stream<In>
  }
}

/** Runs a child, which ends with its program: with code 1 where that fails. SIGTERM and SIGINT interrupt it. */
export const runChild: <A, E>(program: Effect.Effect<A, E>) => void = NodeRuntime.runMain
