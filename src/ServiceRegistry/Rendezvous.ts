import type { Member } from "./Registration.js"

/** The member with the greatest hash of key and token together (highest random weight, Thaler and Ravishankar 1998). */
export const rendezvous = (members: ReadonlyArray<Member>, key: string): Member | undefined => {
  const seed = hashOf(key)
  let chosen: Member | undefined
  let greatest = -1
  for (const member of members) {
    // A token may exceed 32 bits: both halves count.
    const weight = mix(mix(seed ^ member.token) ^ Math.floor(member.token / 2 ** 32))
    if (weight > greatest) {
      chosen = member
      greatest = weight
    }
  }
  return chosen
}

/** FNV-1a over the UTF-16 units of the text. */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return mix(hash)
}

/** The finalizer of MurmurHash3: every bit of the input changes about half of the output. */
const mix = (input: number): number => {
  let hash = input
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
