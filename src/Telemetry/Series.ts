import type { Definition } from "./Definition.js"
import type { TelemetryEvent } from "./Handlers.js"

export type Label = readonly [key: string, value: string]

/** How long the value of a tag may be, in UTF-16 units; longer ones are cut. */
export const maxTagLength = 128

/**
 * The tag of the series that counts what found no place: the one tag that it has, as the OpenTelemetry Metrics SDK
 * specifies under "Cardinality limits", "Overflow attribute".
 */
export const overflowLabel: Label = ["otel.metric.overflow", "true"]

/** A node of a trie over the values of the tags; a leaf holds the series. Costs half of joining the values into one key. */
class Node<S> {
  series: S | undefined
  readonly next = new Map<string, Node<S>>()
}

/**
 * The series of one metric by the values of their tags. Only so many are made: the rest share one more. None is ever
 * removed, since a counter that is forgotten and made anew would fall.
 */
export class Series<S> {
  private readonly root = new Node<S>()
  private overflowing: S | undefined
  private count = 0

  constructor(private readonly make: (labels: ReadonlyArray<Label>) => S) {}

  get size(): number {
    return this.count
  }

  get(values: ReadonlyArray<string>): S | undefined {
    let node: Node<S> | undefined = this.root
    for (const value of values) {
      node = node.next.get(value)
      if (node === undefined) return undefined
    }
    return node.series
  }

  /** `get` by what the record has under the names: with no array of values, as there is one for each event. */
  find(names: ReadonlyArray<string>, record: Readonly<Record<string, unknown>>): S | undefined {
    let node: Node<S> | undefined = this.root
    for (const name of names) {
      node = node.next.get(tagText(record[name]))
      if (node === undefined) return undefined
    }
    return node.series
  }

  /** A new series, or nothing where there are `most` already. */
  add(values: ReadonlyArray<string>, labels: ReadonlyArray<Label>, most: number): S | undefined {
    if (this.count >= most) return undefined
    const series = this.make(labels)
    this.count++
    let node = this.root
    for (const value of values) {
      let next = node.next.get(value)
      if (next === undefined) {
        next = new Node()
        node.next.set(value, next)
      }
      node = next
    }
    node.series = series
    return series
  }

  get overflow(): S {
    this.overflowing ??= this.make([overflowLabel])
    return this.overflowing
  }
}

/** What finds the series of an event, and the labels that a new one has. */
export interface Tags {
  readonly valuesOf: (event: TelemetryEvent) => ReadonlyArray<string>
  readonly labelsOf: (values: ReadonlyArray<string>) => ReadonlyArray<Label>
}

export const tagsOf = (tags: Definition["tags"]): Tags => {
  if (typeof tags !== "function") {
    return {
      valuesOf: (event) => tags.map((tag) => tagText(event.metadata[tag])),
      labelsOf: (values) => tags.map((tag, index) => [tag, values[index] ?? ""])
    }
  }
  return {
    // Each name before its value, and in one order: events may differ in which tags they have.
    valuesOf: (event) => {
      const record = tags(event)
      const values: Array<string> = []
      for (const name of Object.keys(record).sort()) values.push(name, tagText(record[name]))
      return values
    },
    labelsOf: (values) =>
      values.flatMap((name, index): ReadonlyArray<Label> => (index % 2 === 0 ? [[name, values[index + 1] ?? ""]] : []))
  }
}

/** The text of a tag: missing is empty, which Prometheus takes for the same. */
export const tagText = (value: unknown): string => {
  if (typeof value === "string") return cut(value)
  if (value === undefined || value === null) return ""
  try {
    return cut(String(value))
  } catch {
    return "<unreadable>"
  }
}

const cut = (text: string): string => {
  if (text.length <= maxTagLength) return text
  // Half of a surrogate pair is not text: an exporter could not encode it.
  const last = text.charCodeAt(maxTagLength - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxTagLength - 1 : maxTagLength)
}
