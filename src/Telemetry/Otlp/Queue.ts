/** One request to the receiver, encoded. */
export interface Batch {
  readonly body: Uint8Array
  readonly contentType: string
}

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

  get first(): Batch | undefined {
    return this.waiting[0]
  }

  /** Adds it, in place of the oldest where there is no room: what is new tells of the outage. Answers how many were lost. */
  add(batch: Batch): number {
    if (batch.body.length > this.maxBytes) return 1
    let lost = 0
    while (this.size + batch.body.length > this.maxBytes) {
      const oldest = this.waiting.shift()
      if (oldest === undefined) break
      this.size -= oldest.body.length
      lost++
    }
    this.waiting.push(batch)
    this.size += batch.body.length
    return lost
  }

  /** Forgets the batch, if it is still there. */
  remove(batch: Batch): void {
    const index = this.waiting.indexOf(batch)
    if (index === -1) return
    this.waiting.splice(index, 1)
    this.size -= batch.body.length
  }

  /** Forgets all of them. Answers how many there were. */
  clear(): number {
    const { length } = this.waiting
    this.waiting = []
    this.size = 0
    return length
  }
}
