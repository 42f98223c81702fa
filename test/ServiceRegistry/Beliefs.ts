import type { Said } from "./contender.js"

/** For how long a process believed to hold a name, at least, on the clock that all processes share: microseconds. */
export interface Belief {
  readonly by: string
  readonly name: string
  readonly token: number
  readonly from: number
  to: number
}

/** What processes believed, as they said it. */
export class Beliefs {
  readonly all: Array<Belief> = []
  private readonly open = new Map<string, Map<string, Belief>>()
  /** When each was heard last. */
  readonly heardAt = new Map<string, number>()

  hear(by: string, said: Said): void {
    if (said.is !== "holding" && said.is !== "still") return
    const { at } = said
    this.heardAt.set(by, at)
    const before = this.open.get(by) ?? new Map<string, Belief>()
    if (said.is === "still") {
      for (const belief of before.values()) belief.to = at
      return
    }
    const now = new Map<string, Belief>()
    for (const [name, token] of Object.entries(said.held)) {
      const known = before.get(name)
      const belief = known?.token === token ? known : { by, name, token, from: at, to: at }
      belief.to = at
      if (belief !== known) this.all.push(belief)
      now.set(name, belief)
    }
    this.open.set(by, now)
  }

  /** What a process said last that it holds. */
  heldBy(by: string): ReadonlyArray<string> {
    return [...(this.open.get(by)?.keys() ?? [])]
  }

  tokensOf(by: string): Readonly<Record<string, number>> {
    return Object.fromEntries([...(this.open.get(by) ?? [])].map(([name, { token }]) => [name, token]))
  }

  /** Those in which two processes believed to hold one name at a time, or a later holder had a lower token. */
  conflicts(): ReadonlyArray<readonly [Belief, Belief]> {
    const byName = new Map<string, Array<Belief>>()
    for (const belief of this.all) byName.set(belief.name, [...(byName.get(belief.name) ?? []), belief])
    return [...byName.values()].flatMap((beliefs) => {
      const inOrder = beliefs.sort((a, b) => a.from - b.from)
      return inOrder.flatMap((a, index) =>
        inOrder
          .slice(index + 1)
          .filter((b) => (a.by !== b.by && b.from <= a.to) || b.token < a.token)
          .map((b) => [a, b] as const)
      )
    })
  }
}
