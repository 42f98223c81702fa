import type { Entry } from "./Entry.js"

/** A node of the tree: up to 32 nodes of the next level, or entries on the last. What is missing at its end is empty. */
type Node = ReadonlyArray<unknown>

const bits = 5
const width = 1 << bits
const mask = width - 1

/**
 * The entries of a section by name, in the order in which they came. It never changes: `with` makes another, which shares
 * all but a few nodes with it, so that a value set among a million costs what one among ten does, and the difference of the
 * two is found without looking at the rest.
 *
 * Each name has a slot for good, and the entries stand in a tree by their slots. All that were made out of one know the
 * slots of all of them, and what a slot holds in each: nothing, where the name came later.
 */
export class Entries {
  private constructor(
    readonly size: number,
    private readonly slots: Map<string, number>,
    private readonly root: Node,
    /** How many bits of a slot are left at the root, less those of the last level. */
    private readonly shift: number
  ) {}

  static of(entries: ReadonlyMap<string, Entry>): Entries {
    return Entries.under(entries.keys(), Array.from(entries.values()))
  }

  /** The entries under their names, which are as many. */
  static under(names: Iterable<string>, entries: ReadonlyArray<Entry>): Entries {
    const slots = new Map<string, number>()
    for (const name of names) slots.set(name, slots.size)
    let nodes: ReadonlyArray<unknown> = entries
    let shift = 0
    for (; nodes.length > width; shift += bits) {
      const level: Array<Node> = []
      for (let at = 0; at < nodes.length; at += width) level.push(nodes.slice(at, at + width))
      nodes = level
    }
    return new Entries(entries.length, slots, nodes, shift)
  }

  get(name: string): Entry | undefined {
    const slot = this.slots.get(name)
    if (slot === undefined || slot >>> this.shift >= width) return undefined
    let node: Node | undefined = this.root
    for (let { shift } = this; shift > 0 && node !== undefined; shift -= bits) {
      node = node[(slot >>> shift) & mask] as Node | undefined // above the last level
    }
    return node?.[slot & mask] as Entry | undefined // on the last level
  }

  with(name: string, entry: Entry): Entries {
    const before = this.get(name)
    if (before === entry) return this
    let slot = this.slots.get(name)
    if (slot === undefined) {
      // The names of others, which are gone or were refused, are left behind when they are more than those here.
      if (this.slots.size > 2 * this.size + width) return Entries.of(new Map([...this, [name, entry]]))
      slot = this.slots.size
      this.slots.set(name, slot)
    }
    let { shift } = this
    while (slot >>> shift >= width) shift += bits
    const size = before === undefined ? this.size + 1 : this.size
    return new Entries(size, this.slots, replaced(this.raised(shift), shift, slot, entry), shift)
  }

  /** The root of a tree with more levels. */
  private raised(shift: number): Node {
    let { root } = this
    for (let above = this.shift; above < shift; above += bits) root = [root]
    return root
  }

  *[Symbol.iterator](): IterableIterator<[name: string, entry: Entry]> {
    for (const entry of this.values()) yield [nameOf(entry), entry]
  }

  values(): ReadonlyArray<Entry> {
    return collect(this.root, undefined, this.shift, [])
  }

  /** Those for which the other has not this very entry, in their order, with what it has. */
  unlike(other: Entries | undefined): ReadonlyArray<readonly [entry: Entry, other: Entry | undefined]> {
    const shared = other?.slots === this.slots && other.shift <= this.shift ? other.raised(this.shift) : undefined
    const found: Array<readonly [Entry, Entry | undefined]> = []
    for (const entry of collect(this.root, shared, this.shift, [])) {
      const there = other?.get(nameOf(entry))
      if (there !== entry) found.push([entry, there])
    }
    return found
  }
}

export const noEntries: Entries = Entries.of(new Map())

/** No name has a dot in it. */
const nameOf = ({ path }: Entry): string => path.slice(path.lastIndexOf(".") + 1)

const replaced = (node: Node | undefined, shift: number, slot: number, entry: Entry): Node => {
  const copy = node?.slice() ?? []
  const at = (slot >>> shift) & mask
  while (copy.length < at) copy.push(undefined) // an array with holes is slower for good
  copy[at] = shift === 0 ? entry : replaced(copy[at] as Node | undefined, shift - bits, slot, entry) // as in `get`
  return copy
}

/** What is beneath the one node, in order, less what is beneath nodes that the other has, too. */
const collect = (one: Node, other: Node | undefined, shift: number, into: Array<Entry>): Array<Entry> => {
  if (one === other) return into
  for (let at = 0; at < one.length; at++) {
    const item = one[at]
    if (item === undefined || item === other?.[at]) continue
    if (shift === 0) into.push(item as Entry)
    else collect(item as Node, other?.[at] as Node | undefined, shift - bits, into)
  }
  return into
}
