import type { Statement } from "./Tables.js"

/** A part of a text, with the parameters between its pieces. */
export class Fragment {
  constructor(
    readonly texts: ReadonlyArray<string>,
    readonly params: ReadonlyArray<unknown>
  ) {}

  /** With parameters as SQLite has them. */
  sqlite(): Statement {
    return { text: this.texts.join("?"), params: this.params }
  }

  /** With parameters as PostgreSQL has them. */
  postgres(): Statement {
    return { text: this.texts.reduce((text, piece, index) => `${text}$${index}${piece}`), params: this.params }
  }
}

/** A fragment by template: fragments inside become part of it, all other values its parameters. */
export const part = (strings: TemplateStringsArray, ...values: ReadonlyArray<unknown>): Fragment => {
  const texts: Array<string> = [strings[0] ?? ""]
  const params: Array<unknown> = []
  const append = (text: string) => texts.push((texts.pop() ?? "") + text)
  for (const [index, value] of values.entries()) {
    if (value instanceof Fragment) {
      const [first = "", ...rest] = value.texts
      append(first)
      texts.push(...rest)
      params.push(...value.params)
      append(strings[index + 1] ?? "")
    } else {
      params.push(value)
      texts.push(strings[index + 1] ?? "")
    }
  }
  return new Fragment(texts, params)
}

/** A text of our own, which holds no value of others. */
export const text = (text: string): Fragment => new Fragment([text], [])

export const joined = (fragments: ReadonlyArray<Fragment>, separator: string): Fragment =>
  fragments.reduce((all, one, index) => (index === 0 ? one : part`${all}${text(separator)}${one}`), text(""))
