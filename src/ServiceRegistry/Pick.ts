import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Group } from "./Group.js"
import type { Member } from "./Registration.js"
import { rendezvous } from "./Rendezvous.js"

/**
 * How to choose one of the members of a group.
 *
 * - `"round-robin"`: they take turns. Over any span, the picks of two members that were there throughout differ by at
 *   most one, however many others join and leave.
 * - `"random"`: each with the same chance, from Effect's `Random`.
 * - `{ key }`: the same member for the same key, as long as it is there (rendezvous hashing): a member that leaves
 *   gives its keys evenly to the rest, and moves no others. Takes time in proportion to the members.
 * - a function that chooses from the living members, in order of joining; nothing chosen is ServiceNotFound.
 */
export type Strategy =
  | "round-robin"
  | "random"
  | { readonly key: string }
  | ((members: ReadonlyArray<Member>) => Member | undefined)

/** Chooses from the group as it is when the effect runs. */
export const pickFrom = (group: () => Group | undefined, strategy: Strategy): Effect.Effect<Member | undefined> => {
  if (strategy === "round-robin") return Effect.sync(() => group()?.takeTurn())
  if (strategy === "random") return Effect.flatMap(Random.next, (chance) => atRandom(group(), chance))
  const choose: (members: ReadonlyArray<Member>) => Member | undefined =
    typeof strategy === "function" ? strategy : (members) => rendezvous(members, strategy.key)
  return Effect.sync(() => choose(group()?.members() ?? []))
}

const atRandom = (group: Group | undefined, chance: number): Effect.Effect<Member | undefined> => {
  if (group === undefined) return Effect.succeed(undefined)
  const member = group.at(Math.floor(chance * group.size))
  if (member !== undefined) return Effect.succeed(member)
  // A dead one is there only until its observers have run: so the living are drawn from anew, at the cost of a list.
  return Effect.map(Random.next, (again) => {
    const living = group.members()
    return living[Math.floor(again * living.length)]
  })
}
