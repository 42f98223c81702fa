import type { Appended, Expectation } from "../Backend.js"
import { type NewEvent, place, type StoredEvent, sameContent } from "../Event.js"

/** What one caller wants stored: all of it or nothing. */
export interface Batch {
  readonly events: ReadonlyArray<NewEvent>
  readonly expectation: Expectation | undefined
}

/** What the store holds of what the batches are about. */
export interface Known {
  /** The position of the last event. */
  readonly last: number
  readonly byId: ReadonlyMap<string, StoredEvent>
  readonly versions: ReadonlyMap<string, number>
}

export interface Decision {
  /** What comes of each batch. */
  readonly appended: ReadonlyArray<Appended>
  /** The events to store, in order of position. */
  readonly fresh: ReadonlyArray<StoredEvent>
  /** The streams that move, and their new versions. */
  readonly versions: ReadonlyMap<string, number>
}

/** Decides on each batch as if those before it were stored already: one that is refused leaves no trace. */
export const decide = (batches: ReadonlyArray<Batch>, known: Known): Decision => {
  const byId = new Map(known.byId)
  const moved = new Map<string, number>()
  const fresh: Array<StoredEvent> = []
  const versionOf = (stream: string) => moved.get(stream) ?? known.versions.get(stream) ?? 0

  const decideOne = ({ events, expectation }: Batch): Appended => {
    const mine = new Map<string, NewEvent>()
    for (const [index, event] of events.entries()) {
      const same = byId.get(event.id) ?? mine.get(event.id)
      if (same === undefined) mine.set(event.id, event)
      else if (!sameContent(same, event)) return { _tag: "Duplicate", index }
    }
    if (mine.size > 0 && expectation !== undefined) {
      const actual = versionOf(expectation.stream)
      if (!meets(expectation.version, actual)) return { _tag: "Conflict", actual }
    }
    for (const event of mine.values()) {
      const { stream } = event
      const version = stream === undefined ? undefined : versionOf(stream) + 1
      if (stream !== undefined && version !== undefined) moved.set(stream, version)
      const stored = place(event, known.last + fresh.length + 1, version)
      fresh.push(stored)
      byId.set(stored.id, stored)
    }
    return { _tag: "Stored", events: events.flatMap(({ id }) => byId.get(id) ?? []) }
  }

  return { appended: batches.map(decideOne), fresh, versions: moved }
}

const meets = (expected: Expectation["version"], actual: number): boolean => {
  if (expected === "none") return actual === 0
  return expected === "exists" ? actual > 0 : actual === expected
}
