/** One request to the receiver, encoded. */
export interface Batch {
  readonly body: Uint8Array
  readonly contentType: string
}

export const protobuf = "application/x-protobuf"

/** What waits for the receiver: first in, first out, and bounded in bytes. */
export class Queue {
  private waiting: Array<Batch> = []
  private size = 0

  /** `maxBytes` is how much may wait. */
  constructor(readonly maxBytes: number) {}

  get bytes(): number {
    return this.size
  }

  get length(): number {
    return this.waiting.length
  }

  /** Those that come first and go together, which are one at least where there is any. */
  first(maxBytes: number): ReadonlyArray<Batch> {
    const [head] = this.waiting
    if (head === undefined) return []
    // Messages of Protobuf one after the other are one message with the parts of all; JSON has no such thing.
    if (head.contentType !== protobuf) return [head]
    let bytes = 0
    const end = this.waiting.findIndex(({ body }) => {
      bytes += body.length
      return bytes > maxBytes
    })
    return this.waiting.slice(0, end === -1 ? undefined : Math.max(1, end))
  }

  /** Adds it, in place of the oldest where there is no room: what is new tells of the outage. Answers how many were lost. */
  add(batch: Batch): number {
    if (batch.body.length > this.maxBytes) return 1
    let lost = 0
    for (const oldest of this.waiting) {
      if (this.size + batch.body.length <= this.maxBytes) break
      this.size -= oldest.body.length
      lost++
    }
    if (lost > 0) this.waiting = this.waiting.slice(lost)
    this.waiting.push(batch)
    this.size += batch.body.length
    return lost
  }

  /** Forgets the batches, as far as they are still there. */
  remove(batches: ReadonlyArray<Batch>): void {
    const gone = new Set(batches)
    this.waiting = this.waiting.filter((batch) => !gone.has(batch))
    this.size = this.waiting.reduce((size, { body }) => size + body.length, 0)
  }

  /** Forgets all of them. Answers how many there were. */
  clear(): number {
    const { length } = this.waiting
    this.waiting = []
    this.size = 0
    return length
  }
}
