import type { StoredEvent } from "./Event.js"

/** Events in the order of their positions. */
export type Ordered = Array<StoredEvent>

/** A part of ordered events: the first index inclusive, the last exclusive. */
export interface Range {
  readonly events: Ordered
  readonly from: number
  readonly to: number
}

/** The first index from which on the test holds, in a list where it holds for all after the first for which it does. */
export const search = <A>(list: ReadonlyArray<A>, test: (item: A) => boolean): number => {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (test(list[middle] as A))
      high = middle // middle is below the length
    else low = middle + 1
  }
  return low
}

/** The part of the events from the first position, inclusive, to the end, exclusive. */
export const between = (events: Ordered, first: number, end: number): Range => {
  const from = search(events, (event) => event.position >= first)
  return {
    events,
    from,
    to: Math.max(
      from,
      search(events, (event) => event.position >= end)
    )
  }
}

/** How many events the ranges hold. */
export const sizeOf = (ranges: ReadonlyArray<Range>): number => ranges.reduce((sum, { from, to }) => sum + to - from, 0)

/** The events of the ranges, which share none, in the order of their positions or against it. */
export const walk = (ranges: ReadonlyArray<Range>, descending: boolean): Iterable<StoredEvent> => {
  const [first] = ranges
  // One range alone is not handed through: 0.02 µs an event.
  return first !== undefined && ranges.length === 1 ? along(first, descending) : merged(ranges, descending)
}

function* merged(ranges: ReadonlyArray<Range>, descending: boolean): Generator<StoredEvent> {
  // A heap of what is left of each range, with the one whose event is next on top: a merge of k ranges costs log k a step.
  const heap: Array<{ next: StoredEvent; readonly rest: Iterator<StoredEvent> }> = []
  const comes = (one: number, other: number): boolean => {
    const a = heap[one]?.next.position ?? Number.NaN
    const b = heap[other]?.next.position ?? Number.NaN
    return descending ? a > b : a < b
  }
  const sink = (index: number): void => {
    for (let at = index; ; ) {
      let first = at
      if (comes(2 * at + 1, first)) first = 2 * at + 1
      if (comes(2 * at + 2, first)) first = 2 * at + 2
      const [above, below] = [heap[at], heap[first]]
      if (first === at || above === undefined || below === undefined) return
      heap[at] = below
      heap[first] = above
      at = first
    }
  }
  for (const range of ranges) {
    const rest = along(range, descending)
    const next = rest.next()
    if (next.done !== true) heap.push({ next: next.value, rest })
  }
  for (let index = heap.length >> 1; index >= 0; index--) sink(index)
  for (let top = heap[0]; top !== undefined; top = heap[0]) {
    yield top.next
    const next = top.rest.next()
    if (next.done !== true) top.next = next.value
    else {
      const last = heap.pop()
      if (last !== undefined && heap.length > 0) heap[0] = last
    }
    sink(0)
  }
}

function* along({ events, from, to }: Range, descending: boolean): Generator<StoredEvent, undefined> {
  for (let step = 0; step < to - from; step++) {
    const event = events[descending ? to - 1 - step : from + step]
    if (event !== undefined) yield event
  }
}

/**
 * Takes the removed, which are in order, out of the events, in place, and what stands at their indexes out of the lists
 * alongside. It touches nothing before the first of them, and moves the rest at once where they stand together.
 */
export const takeOut = (
  events: Ordered,
  removed: ReadonlyArray<StoredEvent>,
  alongside: ReadonlyArray<Array<number>> = []
): void => {
  const first = removed[0]
  if (first === undefined) return
  const start = search(events, (event) => event.position >= first.position)
  const lists: ReadonlyArray<Array<unknown>> = [events, ...alongside]
  if (events[start + removed.length - 1] === removed.at(-1)) {
    for (const list of lists) list.splice(start, removed.length)
    return
  }
  let to = start
  let next = 0
  for (let from = start; from < events.length; from++) {
    if (events[from] === removed[next]) next++
    else {
      for (const list of lists) list[to] = list[from]
      to++
    }
  }
  for (const list of lists) list.length = to
}

/**
 * Events by id. Those whose ids were made here, which only grow, are searched for in a list; only ids that were given take a
 * place in a map, which would be a quarter of a store.
 */
export class Ids {
  private readonly made: Ordered = []
  /** How many ids were made up to that of the last event in `made`. */
  private last = 0
  private readonly given = new Map<string, StoredEvent>()

  /** The event with the id; where it was made here, `made` says how many were by then. */
  of(id: string, made = 0): StoredEvent | undefined {
    // An id need not be put together and hashed where there is none to compare it with: 0.5 µs.
    const given = this.given.size === 0 ? undefined : this.given.get(id)
    if (given !== undefined || made > this.last) return given
    const event = this.made[search(this.made, (event) => event.id >= id)]
    return event?.id === id ? event : undefined
  }

  add(event: StoredEvent, made = 0): void {
    if (made > this.last) {
      this.made.push(event)
      this.last = made
    } else this.given.set(event.id, event)
  }

  /** Takes the removed out, which are in the order of their positions. */
  takeOut(removed: ReadonlyArray<StoredEvent>): void {
    const made = this.given.size === 0 ? removed : removed.filter((event) => !this.given.delete(event.id))
    takeOut(this.made, made)
  }
}

/** Events by a text that several may share. */
export class Index {
  private readonly lists = new Map<string, Ordered>()

  of(key: string): Ordered {
    return this.lists.get(key) ?? []
  }

  add(key: string, event: StoredEvent): void {
    const list = this.lists.get(key)
    if (list === undefined) this.lists.set(key, [event])
    else list.push(event)
  }

  /** Takes the removed, which are in order, out of the lists that `key` puts them in. */
  takeOut(removed: ReadonlyArray<StoredEvent>, key: (event: StoredEvent) => string | undefined): void {
    for (const [name, events] of groupBy(removed, key)) {
      const list = this.of(name)
      takeOut(list, events)
      if (list.length === 0) this.lists.delete(name)
    }
  }
}

/** The events by the text that `key` gives, each group in the same order. */
export const groupBy = (
  events: ReadonlyArray<StoredEvent>,
  key: (event: StoredEvent) => string | undefined
): ReadonlyMap<string, ReadonlyArray<StoredEvent>> => {
  const groups = new Map<string, Array<StoredEvent>>()
  for (const event of events) {
    const name = key(event)
    if (name === undefined) continue
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [event])
    else group.push(event)
  }
  return groups
}
