import type { Json } from "../../internal/json.js"
import { Problem } from "../Problem.js"
import { type Edit, edit, edited, isInexact, isRelated } from "./Rows.js"
import type { Contents, Written } from "./Table.js"

/** What is known of a table: what it held when it was read last, and what was written since. It never changes. */
export class Known {
  private constructor(
    readonly revision: string,
    /** By key. A value that is not JSON is a Problem. */
    private readonly values: ReadonlyMap<string, Json | Problem>,
    private readonly revisions: ReadonlyMap<string, string>
  ) {}

  static readonly nothing = new Known("", new Map(), new Map())

  static of({ revision, rows }: Contents): Known {
    return new Known(
      revision,
      new Map(rows.map(({ key, value }) => [key, parse(key, value)])),
      new Map(rows.map(({ key, revision }) => [key, revision]))
    )
  }

  /** What it states, if all of it can be read. */
  get record(): Readonly<Record<string, Json>> | Problem {
    return recordOf(this.values)
  }

  /** The revisions of the rows that are at the path, around it and beneath it. */
  around(path: string): ReadonlyMap<string, string> {
    return new Map(Array.from(this.revisions).filter(([key]) => isRelated(key, path)))
  }

  /** The edit for the value to be at the path, and what the table states after it. */
  edit(path: string, value: Json | undefined): readonly [Edit, Readonly<Record<string, Json>>] | Problem {
    const readable = new Map<string, Json>()
    for (const [key, stated] of this.values) {
      if (!(stated instanceof Problem)) readable.set(key, stated)
      // It may have to be taken apart.
      else if (path.startsWith(`${key}.`)) return stated
      else readable.set(key, null)
    }
    const edits = edit(readable, path, value)
    for (const key of edits.put.keys()) {
      const stated = readable.get(key)
      if (key !== path && stated !== undefined && isInexact(stated)) {
        return new Problem(
          "invalid_value",
          `the row of "${key}" has a number in it that would not be written as it stands there; change it with SQL`,
          path
        )
      }
    }
    const record = recordOf(edited(this.values, edits))
    return record instanceof Problem ? record : [edits, record]
  }

  /** After the edit was written. Where others wrote in between, what they wrote is still to be read. */
  written({ after, before, edits, revisions }: Written): Known {
    const next = new Map(this.revisions)
    for (const key of edits.remove) next.delete(key)
    for (const [key, revision] of revisions) next.set(key, revision)
    return new Known(before === this.revision ? after : this.revision, edited(this.values, edits), next)
  }
}

const parse = (key: string, text: string): Json | Problem => {
  try {
    return JSON.parse(text)
  } catch {
    return new Problem("invalid_value", 'its value in the table is not JSON; write text in quotes, like "text"', key)
  }
}

const recordOf = (values: ReadonlyMap<string, Json | Problem>): Readonly<Record<string, Json>> | Problem => {
  const record: Record<string, Json> = Object.create(null)
  for (const [key, value] of values) {
    if (value instanceof Problem) return value
    record[key] = value
  }
  return record
}
