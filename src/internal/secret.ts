import * as Duration from "effect/Duration"

/** A word, or two that stand together, that names a secret. */
const secretWord =
  /^(passwords?|passwd|passphrases?|secrets?|tokens?|credentials?|authorization|cookies?|(api|private|access|secret)keys?)$/

/** Spares nearly all names from being taken apart. */
const perhaps = /pass|secret|token|credential|authorization|cookie|key/i

/** An address with a password in it, as connection strings have. */
const withPassword = /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s:]*:[^/?#\s]*@/i

/**
 * Whether a value is secret, by its names: its own, which is the last, and those of the sections around it.
 *
 * Its own name is that of a secret if a word in it is, or two that stand together, however they are joined (`dbPassword`,
 * `API_KEY`, `access-token`), or if it ends in the word `pass`. A section is one of secrets only if its whole name is such
 * a word: a policy for the "token-service" is no secret. Numbers, booleans, dates and durations are never secret by name
 * (`maxTokens`, `tokenTtl`); an address with a password in it is secret by any.
 */
export const isSecret = (names: ReadonlyArray<string>, value: unknown): boolean => {
  if (!canBeSecret(value)) return false
  if (typeof value === "string" && withPassword.test(value)) return true
  const last = names.length - 1
  return names.some((name, index) => (index < last || isRecord(value) ? isSecretWord(name) : hasSecretWord(name)))
}

const canBeSecret = (value: unknown): boolean => {
  if (typeof value === "string") return true
  if (typeof value !== "object" || value === null) return false
  if (Array.isArray(value)) return value.some((item) => typeof item === "string" || typeof item === "object")
  return !(value instanceof Date) && !Duration.isDuration(value)
}

const isRecord = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

const isSecretWord = (name: string): boolean =>
  perhaps.test(name) && secretWord.test(name.replace(/[-_]/g, "").toLowerCase())

const hasSecretWord = (name: string): boolean => {
  if (!perhaps.test(name)) return false
  const words = wordsOf(name)
  return (
    words[words.length - 1] === "pass" ||
    words.some((word, index) => secretWord.test(word) || secretWord.test(word + (words[index + 1] ?? "")))
  )
}

/** `dbPassword`, `DB_PASSWORD` and `db-password` are two words. */
const wordsOf = (name: string): ReadonlyArray<string> =>
  (name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g) ?? []).map((word) => word.toLowerCase())

/** How the keys and tokens of well-known services begin, and those that are signed. */
const knownCredential = /^([srp]k[-_]|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA|eyJ|Bearer |Basic )|-----BEGIN/

/** An address with a password in it, somewhere in a text. */
const quotedPassword = /:\/\/[^/?#\s:]*:[^/?#\s]*@/

/** A field in a connection string, an address or JSON. */
const credentialField = /(password|passwd|pwd|secret|token|api[-_]?key|account[-_]?key)["']?\s*[=:]/i

/** As long as a digest, and of what digests are written with. */
const unspoken = /^(?=.*\d)(?=.*[a-z])[\w+/=-]{32,}$/i

/**
 * Whether the text looks like a credential, whatever its name: not to be quoted in an error. It may well be none, and is
 * no secret elsewhere.
 */
export const looksSecret = (text: string): boolean =>
  quotedPassword.test(text) || knownCredential.test(text) || credentialField.test(text) || unspoken.test(text)
