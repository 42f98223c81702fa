import * as Option from "effect/Option"
import * as SchemaAST from "effect/SchemaAST"
import { parseDuration } from "../internal/durationText.js"
import { isSection } from "./Secret.js"

const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^0x[0-9a-f]+$/i

export const textToNumber = (text: string): number | undefined => {
  const trimmed = text.trim()
  if (!number.test(trimmed)) return undefined
  const value = Number(trimmed)
  return Number.isFinite(value) ? value : undefined
}

export const textToBoolean = (text: string): boolean | undefined => {
  switch (text.trim().toLowerCase()) {
    case "true":
    case "yes":
    case "on":
    case "1":
      return true
    case "false":
    case "no":
    case "off":
    case "0":
      return false
    default:
      return undefined
  }
}

export const textToBigint = (text: string): bigint | undefined => {
  const match = /^([+-]?\d+)n?$/.exec(text.trim())
  return match?.[1] === undefined ? undefined : BigInt(match[1])
}

/** A JSON array, or items with commas between them, trimmed. Empty text is no item. */
export const textToList = (text: string): ReadonlyArray<unknown> => {
  const trimmed = text.trim()
  if (trimmed.startsWith("[")) {
    const parsed = parseJson(trimmed)
    if (Array.isArray(parsed)) return parsed
  }
  return trimmed === "" ? [] : trimmed.split(",").map((item) => item.trim())
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * The value as a schema with this encoded side takes it, where it was text: `"8080"` where a number stands, `"a,b"` or
 * a JSON array where a list does, JSON where an object does. What does not read as that stays text, for the schema to
 * refuse. `isText` tells which of the values beneath a section came as text.
 */
export const coerce = (
  ast: SchemaAST.AST,
  value: unknown,
  path: string,
  isText: (path: string) => boolean
): unknown => {
  if (typeof value === "string") return isText(path) ? coerceText(ast, value) : value
  if (!isSection(value)) return value
  const out: Record<string, unknown> = Object.create(null)
  for (const [name, item] of Object.entries(value)) {
    const expected = propertyOf(ast, name)
    out[name] = expected === undefined ? item : coerce(expected, item, `${path}.${name}`, isText)
  }
  return out
}

const coerceText = (ast: SchemaAST.AST, text: string): unknown => {
  switch (ast._tag) {
    case "NumberKeyword":
      return textToNumber(text) ?? text
    case "BooleanKeyword":
      return textToBoolean(text) ?? text
    case "BigIntKeyword":
      return textToBigint(text) ?? text
    case "Literal":
      return literals(text).find((one) => one === ast.literal) ?? text
    case "Enums": {
      const options = literals(text)
      return ast.enums.find(([, one]) => options.includes(one))?.[1] ?? text
    }
    case "Refinement":
      return coerceText(ast.from, text)
    case "Suspend":
      return coerceText(ast.f(), text)
    case "Union": {
      for (const member of ast.types) {
        const coerced = coerceText(member, text)
        if (coerced !== text) return coerced
      }
      return text
    }
    case "TupleType": {
      const items = textToList(text)
      return items.map((item, index) => {
        const expected = ast.elements[index]?.type ?? ast.rest[0]?.type
        return expected !== undefined && typeof item === "string" ? coerceText(expected, item) : item
      })
    }
    case "TypeLiteral": {
      const parsed = text.trim().startsWith("{") ? parseJson(text) : undefined
      return typeof parsed === "object" && parsed !== null ? parsed : text
    }
    case "Declaration": {
      const type = SchemaAST.getTypeConstructorAnnotation(ast)
      return Option.isSome(type) && type.value._tag === "effect/Duration"
        ? Option.getOrElse(parseDuration(text), () => text)
        : text
    }
    default:
      return text
  }
}

const literals = (text: string): ReadonlyArray<unknown> => [
  text,
  textToNumber(text),
  textToBoolean(text),
  textToBigint(text),
  text.trim() === "null" ? null : undefined
]

const propertyOf = (ast: SchemaAST.AST, name: string): SchemaAST.AST | undefined => {
  switch (ast._tag) {
    case "TypeLiteral": {
      const property = ast.propertySignatures.find((signature) => signature.name === name)
      return property?.type ?? ast.indexSignatures[0]?.type
    }
    case "Refinement":
      return propertyOf(ast.from, name)
    case "Suspend":
      return propertyOf(ast.f(), name)
    case "Union": {
      for (const member of ast.types) {
        const found = propertyOf(member, name)
        if (found !== undefined) return found
      }
      return undefined
    }
    default:
      return undefined
  }
}
