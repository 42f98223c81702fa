/** `degraded` works, but not as it should; `down` does not work. */
export type Status = "up" | "degraded" | "down"

/** How a component is, and why. */
export interface Condition {
  readonly status: Status
  /** In words for an operator, which hold no secret. */
  readonly reason?: string
}

export const up: Condition = { status: "up" }

export const degraded = (reason: string): Condition => ({ status: "degraded", reason })

export const down = (reason: string): Condition => ({ status: "down", reason })

const gravity = { up: 0, degraded: 1, down: 2 } as const

/** The worst of them; of several that are as bad, the first. */
export const worst = <C extends { readonly status: Status }>(first: C, ...rest: ReadonlyArray<C>): C =>
  rest.reduce((worst, next) => (gravity[next.status] > gravity[worst.status] ? next : worst), first)

/** The names, the first of them in quotes: there may be thousands. */
export const listed = (names: ReadonlyArray<string>, most = 3): string => {
  const first = names
    .slice(0, most)
    .map((name) => `"${name}"`)
    .join(", ")
  return names.length > most ? `${first} and ${names.length - most} more` : first
}
