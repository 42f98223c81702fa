/** How many letters to add, drop, replace or swap with their neighbour make the one word of the other. */
const distance = (one: string, other: string): number => {
  const rows: Array<Array<number>> = [Array.from({ length: other.length + 1 }, (_, index) => index)]
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY
  for (let i = 1; i <= one.length; i++) {
    const row = [i]
    rows.push(row)
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1] ? 0 : 1
      const swapped =
        one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1] ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + same, swapped))
    }
  }
  return at(one.length, other.length)
}

/** The known word that was probably meant, where one is near: misspelt, or the one is a part of the other. */
export const nearest = (word: string, known: ReadonlyArray<string>): string | undefined => {
  if (word.length > 64) return undefined
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z]/g, "")
  const written = plain(word)
  if (written === "") return undefined
  let best: string | undefined
  let least = 3
  for (const candidate of known) {
    const apart = distance(written, plain(candidate))
    if (apart < least && apart < candidate.length) {
      best = candidate
      least = apart
    }
  }
  const contains = (one: string, other: string) => other.length >= 2 && one.includes(other)
  return (
    best ??
    known.find((candidate) => contains(written, plain(candidate))) ??
    known.find((candidate) => contains(plain(candidate), written))
  )
}

/** The list of what is known, after the word that was probably meant: the end of a message about an unknown word. */
export const suggestion = (word: string, known: ReadonlyArray<string>): string => {
  const meant = nearest(word, known)
  return `${meant === undefined ? "" : `did you mean ${meant}? `}Known are ${known.join(", ")}`
}
