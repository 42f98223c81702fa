import type { DeadLetter } from "./DeadLetter.js"
import type { Claim, Claimed, ConsumerState, Lease, Positions } from "./Store.js"

/** What a store in memory keeps at most: past it, nothing is dropped, and the consumer waits. */
export const bounds = { consumers: 10_000, deadLetters: 10_000 } as const

interface Consumer {
  readonly criteria: string
  position: number
  token: number
  owner: string | undefined
  /** When the lease of the owner ends. */
  until: number
  /** By position, in its order: a checkpoint only grows. */
  readonly letters: Map<number, DeadLetter>
  /** The positions of those that wait to be replayed. */
  readonly replaying: Set<number>
}

/** The state of the consumers in memory, each change in one step. Times are in microseconds, from one clock. */
export class ConsumerTable {
  private readonly consumers = new Map<string, Consumer>()
  private letters = 0

  claim(now: number, { criteria, lease, name, owner, startAfter }: Claim): Claimed | { readonly _tag: "Full" } {
    let consumer = this.consumers.get(name)
    if (consumer === undefined) {
      if (this.consumers.size >= bounds.consumers) return { _tag: "Full" }
      const none = { token: 0, owner: undefined, until: 0 }
      consumer = { criteria, position: startAfter, ...none, letters: new Map(), replaying: new Set() }
      this.consumers.set(name, consumer)
    }
    if (consumer.criteria !== criteria) return { _tag: "OtherCriteria", criteria: consumer.criteria }
    if (isActive(consumer, now) && consumer.owner !== owner) {
      return { _tag: "Standby", remaining: Math.ceil((consumer.until - now) / 1000) }
    }
    consumer.owner = owner
    consumer.until = now + lease * 1000
    consumer.token++
    return { _tag: "Active", token: consumer.token, position: consumer.position, replays: consumer.replaying.size > 0 }
  }

  keep(now: number, lease: Lease, position: number): { readonly replays: boolean } | undefined {
    const consumer = this.held(now, lease)
    if (consumer === undefined) return undefined
    consumer.position = Math.max(consumer.position, position)
    consumer.until = now + lease.lease * 1000
    return { replays: consumer.replaying.size > 0 }
  }

  bury(now: number, lease: Lease, letter: DeadLetter): "buried" | "fenced" | "full" {
    const consumer = this.held(now, lease)
    if (consumer === undefined) return "fenced"
    if (!consumer.letters.has(letter.position)) {
      if (this.letters >= bounds.deadLetters) return "full"
      this.letters++
    }
    consumer.letters.set(letter.position, letter)
    consumer.position = Math.max(consumer.position, letter.position)
    return "buried"
  }

  settle(now: number, lease: Lease, position: number, letter: DeadLetter | undefined): boolean {
    const consumer = this.held(now, lease)
    if (consumer === undefined) return false
    consumer.replaying.delete(position)
    if (letter === undefined) this.drop(consumer, position)
    else if (consumer.letters.has(position)) consumer.letters.set(position, letter)
    return true
  }

  nextReplay(name: string): DeadLetter | undefined {
    const consumer = this.consumers.get(name)
    for (const position of consumer?.replaying ?? []) return consumer?.letters.get(position)
    return undefined
  }

  /** Answers whether the lease was this owner's. */
  release(name: string, owner: string, position: number): boolean {
    const consumer = this.consumers.get(name)
    if (consumer === undefined || consumer.owner !== owner) return false
    consumer.position = Math.max(consumer.position, position)
    consumer.owner = undefined
    return true
  }

  deadLetters(name: string, after: number, limit: number): ReadonlyArray<DeadLetter> {
    const found: Array<DeadLetter> = []
    for (const letter of this.consumers.get(name)?.letters.values() ?? []) {
      if (found.length >= limit) break
      if (letter.position > after) found.push(letter)
    }
    return found
  }

  replay(name: string, positions: Positions): number {
    const consumer = this.consumers.get(name)
    if (consumer === undefined) return 0
    const chosen = chosenOf(consumer, positions)
    for (const letter of chosen) {
      consumer.letters.set(letter.position, { ...letter, replaying: true })
      consumer.replaying.add(letter.position)
    }
    return chosen.length
  }

  removeDeadLetters(name: string, positions: Positions): number {
    const consumer = this.consumers.get(name)
    if (consumer === undefined) return 0
    const chosen = chosenOf(consumer, positions)
    for (const { position } of chosen) this.drop(consumer, position)
    return chosen.length
  }

  list(now: number, head: number): ReadonlyArray<ConsumerState> {
    return Array.from(this.consumers, ([name, consumer]) => ({
      name,
      position: consumer.position,
      behind: Math.max(0, head - consumer.position),
      owner: isActive(consumer, now) ? consumer.owner : undefined,
      token: consumer.token,
      deadLetters: consumer.letters.size,
      criteria: consumer.criteria
    })).sort((one, other) => (one.name < other.name ? -1 : 1))
  }

  forget(now: number, name: string): "forgotten" | "active" | "unknown" {
    const consumer = this.consumers.get(name)
    if (consumer === undefined) return "unknown"
    if (isActive(consumer, now)) return "active"
    this.letters -= consumer.letters.size
    this.consumers.delete(name)
    return "forgotten"
  }

  /**
   * The consumer, where the lease is not over and no later one was given out. The owner is compared, too: the tokens of
   * a consumer that was forgotten and made again begin anew.
   */
  private held(now: number, { name, owner, token }: Lease): Consumer | undefined {
    const consumer = this.consumers.get(name)
    if (consumer === undefined || !isActive(consumer, now)) return undefined
    return consumer.token === token && consumer.owner === owner ? consumer : undefined
  }

  private drop(consumer: Consumer, position: number): void {
    if (consumer.letters.delete(position)) this.letters--
    consumer.replaying.delete(position)
  }
}

const isActive = (consumer: Consumer, now: number): boolean => consumer.owner !== undefined && now < consumer.until

const chosenOf = ({ letters }: Consumer, positions: Positions): ReadonlyArray<DeadLetter> =>
  positions === "all"
    ? [...letters.values()]
    : [...new Set(positions)].sort((one, other) => one - other).flatMap((position) => letters.get(position) ?? [])
