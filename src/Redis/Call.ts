import { Command } from "ioredis"
import type { Answered } from "./Lane.js"

const ofTexts = { replyEncoding: "utf8" } as const
const ofBytes = { replyEncoding: null }

/**
 * A command that tells its answer in the step in which that is read: by way of a promise and its callback, as from
 * `io.evalsha`, it takes 2 µs longer. `answered` must not throw.
 */
export class Call extends Command {
  constructor(name: "eval" | "evalsha", args: Array<string | number | Buffer>, isPacked: boolean, answered: Answered) {
    super(name, undefined, isPacked ? ofBytes : ofTexts)
    // Not by the constructor, which would make them flat first: 0.6 µs.
    this.args = args
    this.stringifyArguments()
    // Who traces commands waits for the promise.
    const { promise, reject, resolve } = this
    this.resolve = (reply) => {
      resolve(undefined)
      answered(undefined, isPacked && Buffer.isBuffer(reply) ? unpacked(reply) : this.transformReply(reply))
    }
    this.reject = (error) => {
      // A client that was given may give commands up by itself, and their answers come yet.
      this.resolve = this.reject = () => undefined
      promise.catch(() => undefined)
      reject(error)
      answered(error)
    }
  }
}

const unpacked = (bytes: Buffer): ReadonlyArray<number> => {
  const numbers: Array<number> = []
  for (let at = 0; at < bytes.length; at += 8) numbers.push(bytes.readDoubleBE(at))
  return numbers
}
