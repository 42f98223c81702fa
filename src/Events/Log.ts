import type { Appended, Expectation } from "./Backend.js"
import { isStated, matches, type Query } from "./Criteria.js"
import { type NewEvent, place, type StoredEvent, sameContent } from "./Event.js"
import { between, groupBy, Ids, Index, type Ordered, type Range, search, sizeOf, takeOut, walk } from "./Ordered.js"

/** The bounds of a log. */
export interface Bounds {
  /** How many events it holds; a stream that was pruned empty takes the place of one, to remember its version. */
  readonly capacity: number
  /** How many bytes of data and metadata, as JSON, it holds. */
  readonly maxBytes: number
}

/** How many events a scan looks at in one go. Past it, others get a turn: about a millisecond. */
const scanBudget = 16_384

interface StreamState {
  version: number
  readonly events: Ordered
}

/** The criteria that have an index. */
type Indexed = "stream" | "correlationId" | "causationId" | "types" | "ids"

/** All events in memory, in the order of their positions, with an index for each text that they are asked for by. */
export class Log {
  private readonly events: Ordered = []
  private readonly ids = new Ids()
  private readonly byType = new Index()
  private readonly byCorrelationId = new Index()
  private readonly byCausationId = new Index()
  private readonly streams = new Map<string, StreamState>()
  /** How many of the streams have no event left. */
  private emptied = 0
  /** The bytes of each event, at the index that it has in `events`, and their sum. */
  private readonly sizes: Array<number> = []
  private bytes = 0
  /**
   * The latest timestamp among the events up to each, at its index: it never goes back, as the timestamps do when the
   * wall clock is set back, so that it can be searched. `regression` is the furthest that a timestamp was behind.
   */
  private readonly latest: Array<number> = []
  private regression = 0
  private last = 0

  constructor(private readonly bounds: Bounds) {}

  /** The position of the last event that was stored. */
  get head(): number {
    return this.last
  }

  append(batch: ReadonlyArray<NewEvent>, expectation?: Expectation): Appended {
    // The decision first, in full: it changes nothing, so that a batch is stored as a whole or not at all.
    // Two in one batch may have one id; a map for one alone would be 0.1 µs.
    const fresh = batch.length > 1 ? new Map<string, NewEvent>() : undefined
    let count = 0
    let bytes = 0
    for (let index = 0; index < batch.length; index++) {
      const event = batch[index] as NewEvent // the index is below the length
      const same = this.ids.of(event.id, event.made) ?? fresh?.get(event.id)
      if (same === undefined) {
        fresh?.set(event.id, event)
        count++
        bytes += event.bytes
      } else if (!sameContent(same, event)) return { _tag: "Duplicate", index }
    }
    if (count > 0) {
      if (expectation !== undefined) {
        const actual = this.streams.get(expectation.stream)?.version ?? 0
        if (!meets(expectation.version, actual)) return { _tag: "Conflict", actual }
      }
      const { capacity, maxBytes } = this.bounds
      const places = this.events.length + this.emptied + count
      if (places > capacity) return { _tag: "Full", bound: `${capacity} events` }
      if (this.bytes + bytes > maxBytes) return { _tag: "Full", bound: `${maxBytes} bytes of data and metadata` }
    }
    const isFresh = count === batch.length
    return {
      _tag: "Stored",
      events: batch.map((event) => (isFresh ? undefined : this.ids.of(event.id, event.made)) ?? this.add(event))
    }
  }

  private add(event: NewEvent): StoredEvent {
    const stream = event.stream === undefined ? undefined : this.streamOf(event.stream)
    if (stream !== undefined) stream.version++
    const stored = place(event, ++this.last, stream?.version)
    const latest = Math.max(this.latest.at(-1) ?? Number.NEGATIVE_INFINITY, stored.timestamp)
    this.regression = Math.max(this.regression, latest - stored.timestamp)
    this.latest.push(latest)
    this.sizes.push(event.bytes)
    this.bytes += event.bytes
    this.events.push(stored)
    this.ids.add(stored, event.made)
    this.byType.add(stored.type, stored)
    this.byCorrelationId.add(stored.correlationId, stored)
    if (stored.causationId !== undefined) this.byCausationId.add(stored.causationId, stored)
    if (stream !== undefined) {
      if (stream.events.length === 0 && stream.version > 1) this.emptied--
      stream.events.push(stored)
    }
    return stored
  }

  private streamOf(name: string): StreamState {
    let stream = this.streams.get(name)
    if (stream === undefined) {
      stream = { version: 0, events: [] }
      this.streams.set(name, stream)
    }
    return stream
  }

  /**
   * Adds to `found` what matches the query, up to its limit. Where the budget is used up before the end, it answers the
   * position to resume at. It looks only at the smallest of what the indexes give, within the range of positions.
   */
  scan(query: Query, found: Array<StoredEvent>, resume?: number, budget = scanBudget): number | undefined {
    if (found.length >= query.limit) return undefined
    const { ranges, rest } = this.candidates(query, resume)
    let looked = 0
    for (const event of walk(ranges, query.order === "desc")) {
      if (looked++ >= budget) return event.position
      if (rest !== undefined && !matches(rest, event)) continue
      found.push(event)
      if (found.length >= query.limit) return undefined
    }
    return undefined
  }

  /** Where to look, and what is left to look for there: nothing, where all that is there matches. */
  private candidates(query: Query, resume: number | undefined) {
    const [first, end] = this.positions(query, resume)
    let ranges: ReadonlyArray<Range> = [between(this.events, first, end)]
    let rest = query
    const consider = (criterion: Indexed, listOf: (text: string) => Ordered) => {
      const wanted = query[criterion]
      if (wanted === undefined) return
      const listed = Array.from(typeof wanted === "string" ? [wanted] : wanted, (text) =>
        between(listOf(text), first, end)
      )
      if (sizeOf(listed) > sizeOf(ranges)) return
      ranges = listed
      rest = { ...query, [criterion]: undefined }
    }
    consider("stream", (stream) => this.streams.get(stream)?.events ?? [])
    consider("correlationId", (id) => this.byCorrelationId.of(id))
    consider("causationId", (id) => this.byCausationId.of(id))
    consider("types", (type) => this.byType.of(type))
    consider("ids", (id) => [this.ids.of(id) ?? []].flat())
    return { ranges, rest: isStated(rest) ? rest : undefined }
  }

  /** The positions, the first inclusive and the end exclusive, outside of which nothing can match. */
  private positions(query: Query, resume: number | undefined): readonly [first: number, end: number] {
    const { after, before, order } = query
    let first = query.afterPosition + 1
    let end = query.beforePosition
    // What is later than `after` is not before the place where the latest timestamp is.
    if (after > Number.NEGATIVE_INFINITY) {
      first = Math.max(first, this.positionAt(search(this.latest, (latest) => latest > after)))
    }
    // What is earlier than `before` is at most the furthest regression behind the latest timestamp of its place.
    if (before < Number.POSITIVE_INFINITY) {
      end = Math.min(end, this.positionAt(search(this.latest, (latest) => latest - this.regression >= before)))
    }
    if (resume === undefined) return [first, end]
    return order === "asc" ? [Math.max(first, resume), end] : [first, Math.min(end, resume + 1)]
  }

  private positionAt(index: number): number {
    return this.events[index]?.position ?? this.last + 1
  }

  /** Removes what `scan` finds, and tells how many that were. A stream keeps its version. */
  remove(query: Query): number {
    const removed: Array<StoredEvent> = []
    this.scan(query, removed, undefined, Number.POSITIVE_INFINITY)
    if (query.order === "desc") removed.reverse()
    for (const { position } of removed) {
      this.bytes -= this.sizes[search(this.events, (event) => event.position >= position)] ?? 0
    }
    takeOut(this.events, removed, [this.sizes, this.latest])
    this.byType.takeOut(removed, (event) => event.type)
    this.byCorrelationId.takeOut(removed, (event) => event.correlationId)
    this.byCausationId.takeOut(removed, (event) => event.causationId)
    for (const [name, events] of groupBy(removed, (event) => event.stream)) {
      const list = this.streamOf(name).events
      takeOut(list, events)
      if (list.length === 0) this.emptied++
    }
    this.ids.takeOut(removed)
    return removed.length
  }
}

const meets = (expected: Expectation["version"], actual: number): boolean => {
  if (expected === "none") return actual === 0
  return expected === "exists" ? actual > 0 : actual === expected
}
