import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isSecret } from "../internal/secret.js"
import type { Entry } from "./Entry.js"
import { parsePath } from "./Path.js"
import { Problem } from "./Problem.js"
import { holdsSecret, reveal, unquotable } from "./Secret.js"
import type { Decoded, Snapshot } from "./Snapshot.js"
import { coerce } from "./Text.js"

/** A path with the schema of what stands there. Make it once, at the top of a module: what it decodes is remembered by it. */
export class Key<out A> {
  /** The encoded side of the schema, which text is decoded to. */
  readonly #encoded: SchemaAST.AST
  readonly #decode: (value: unknown) => Either.Either<A, ParseResult.ParseIssue>
  readonly #encode: (value: unknown) => Either.Either<unknown, ParseResult.ParseIssue>
  /** @internal What is wrong with the path. */
  readonly problem: Problem | undefined
  /** @internal The paths beneath which the schema hides what it reads. */
  readonly secrets: ReadonlyArray<string>

  private constructor(
    readonly path: string,
    /** What the schema is made of. */
    readonly ast: SchemaAST.AST,
    readonly fallback: { readonly value: A } | undefined,
    decode: (value: unknown) => Either.Either<A, ParseResult.ParseIssue>,
    encode: (value: unknown) => Either.Either<unknown, ParseResult.ParseIssue>
  ) {
    const segments = parsePath(path)
    this.problem = segments instanceof Problem ? segments : undefined
    this.#encoded = SchemaAST.encodedAST(ast)
    this.#decode = decode
    this.#encode = encode
    this.secrets = secretPaths(ast, path, new Set())
  }

  static make<A, I>(path: string, schema: Schema.Schema<A, I>, options?: { readonly default?: NoInfer<A> }): Key<A> {
    return new Key(
      path,
      schema.ast,
      options !== undefined && "default" in options ? { value: options.default as A } : undefined, // it is there
      ParseResult.decodeUnknownEither(schema),
      ParseResult.encodeUnknownEither(schema)
    )
  }

  /** @internal What the snapshot says of this key: decoded once. */
  in(snapshot: Snapshot): Decoded<A> {
    return snapshot.decoded(this, () => this.read(snapshot)) as Decoded<A> // the cache is by key: what it holds is ours
  }

  private read(snapshot: Snapshot): Decoded<A> {
    if (this.problem !== undefined) return this.problem
    const entry = snapshot.entry(this.path)
    if (entry !== undefined) {
      const decoded = this.decodeEntry(entry, snapshot)
      // A null is "nothing here" to a schema that does not take it.
      if (!(decoded instanceof Problem) || entry.value !== null) return decoded
    }
    if (this.fallback !== undefined) return this.fallback
    const hint = "state it in a source, or give the key a default"
    return new Problem("invalid_value", `a value is required and there is none; ${hint}`, this.path)
  }

  private decodeEntry(entry: Entry, snapshot: Snapshot): Decoded<A> {
    const hidden = holdsSecret(entry.value)
    const raw = hidden ? reveal(entry.value) : entry.value
    const first = this.#decode(raw)
    if (Either.isRight(first)) return { value: first.right }
    let issue = first.left
    if (entry.text || entry.section) {
      const coerced = coerce(this.#encoded, raw, entry.path, (path) => snapshot.entry(path)?.text === true)
      const second = this.#decode(coerced)
      if (Either.isRight(second)) return { value: second.right }
      issue = second.left
    }
    if (hidden) {
      // For a schema whose encoded side is itself a `Redacted`.
      const third = this.#decode(entry.value)
      if (Either.isRight(third)) return { value: third.right }
    }
    return this.refuse(issue, hidden, raw, entry.path, entry.source)
  }

  /** @internal What a source would have to state for the key to have this value. */
  encode(value: unknown): Decoded {
    if (this.problem !== undefined) return this.problem
    const encoded = this.#encode(value)
    if (Either.isRight(encoded)) return { value: encoded.right }
    return this.refuse(encoded.left, Redacted.isRedacted(value), value, this.path, undefined)
  }

  private refuse(
    issue: ParseResult.ParseIssue,
    hidden: boolean,
    value: unknown,
    path: string,
    source: string | undefined
  ): Problem {
    const told = explain(issue, hidden || this.secrets.length > 0, path, value, this.ast)
    return new Problem("invalid_value", told, path, source)
  }
}

/** At most so many of what is wrong in one value is told. */
const toldIssues = 3

/**
 * What is wrong, where in the value, and what was expected. The words of a schema quote the value: not where it is
 * secret, or looks as if it were.
 */
const explain = (
  issue: ParseResult.ParseIssue,
  secret: boolean,
  around: string,
  value: unknown,
  ast: SchemaAST.AST
): string => {
  const issues = ParseResult.ArrayFormatter.formatIssueSync(issue)
  const told = issues.slice(0, toldIssues).map(({ message, path }) => {
    const at = path.length === 0 ? "" : `at ${path.map(String).join(".")}: `
    const part = quoted(value, path)
    return secret || unquotable(part) || isSecret([...around.split("."), ...path.map(String)], part)
      ? `${at}not what ${String(ast)} takes`
      : `${at}${message.length > 256 ? `${message.slice(0, 256)}…` : message}`
  })
  const more = issues.length > toldIssues ? [`and ${issues.length - toldIssues} more`] : []
  return [...told, ...more].join("; ")
}

/** The part of the value that a schema speaks of; the whole, where the schema has other names for its parts. */
const quoted = (value: unknown, path: ReadonlyArray<PropertyKey>): unknown => {
  let part = value
  for (const name of path) {
    if (typeof part !== "object" || part === null || !Object.hasOwn(part, name)) return value
    part = Reflect.get(part, name)
  }
  return part
}

/** Where in the schema a `Redacted` is made. Of what cannot be followed with certainty, the whole is taken. */
const secretPaths = (ast: SchemaAST.AST, path: string, seen: Set<SchemaAST.AST>): ReadonlyArray<string> => {
  switch (ast._tag) {
    case "Declaration": {
      const type = SchemaAST.getTypeConstructorAnnotation(ast)
      if (type._tag === "Some" && type.value._tag === "effect/Redacted") return [path]
      return ast.typeParameters.some((parameter) => secretPaths(parameter, path, seen).length > 0) ? [path] : []
    }
    case "Transformation": {
      const to = secretPaths(ast.to, path, seen)
      return to.includes(path) ? [path] : [...new Set([...secretPaths(ast.from, path, seen), ...to])]
    }
    case "Refinement":
      return secretPaths(ast.from, path, seen)
    case "Suspend":
      // A schema that contains itself is looked into once.
      if (seen.has(ast)) return []
      return secretPaths(ast.f(), path, seen.add(ast))
    case "Union":
      return ast.types.flatMap((member) => secretPaths(member, path, seen))
    case "TupleType":
      return [...ast.elements, ...ast.rest].some(({ type }) => secretPaths(type, path, seen).length > 0) ? [path] : []
    case "TypeLiteral": {
      const inner = ast.propertySignatures.flatMap((signature) =>
        secretPaths(signature.type, `${path}.${String(signature.name)}`, seen)
      )
      return ast.indexSignatures.some(({ type }) => secretPaths(type, path, seen).length > 0) ? [path, ...inner] : inner
    }
    default:
      return []
  }
}
