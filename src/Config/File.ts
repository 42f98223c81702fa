import type * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { ConfigError } from "../FoundationError.js"
import { acceptDuration } from "../internal/acceptDuration.js"
import { watchFile } from "./FileWatch.js"
import { type Format, formatOf, maxBytes, parse } from "./Format.js"
import { Problem } from "./Problem.js"
import { type Source, sections } from "./Source.js"

export interface FileOptions {
  /** By the end of the name where it is not given. */
  readonly format?: Format
  /** Whether a file that is not there is as good as an empty one. */
  readonly optional?: boolean
  /** Whether the file is read again when it has changed: it is. */
  readonly watch?: boolean
  /** How often the watcher looks, whatever the file system tells: 1 second. */
  readonly pollInterval?: Duration.DurationInput
  /** Paths, beneath which every value is secret. */
  readonly secrets?: ReadonlyArray<string>
}

/**
 * A source that reads a JSON, YAML, TOML or .env file: at most 16 MiB, of YAML 4 MiB. What is typed in the file is not
 * converted: `port: "8080"` is text. The values of a .env file are text, and its names are taken as those of the
 * environment are, with or without the prefix `FOUNDATION__`.
 */
export const file = (path: string, options: FileOptions = {}): Source<FileSystem.FileSystem> => {
  const format = options.format ?? formatOf(path)
  const interval = acceptDuration("config.pollInterval", options.pollInterval ?? "1 second")
  // To make a source cannot fail; to read it can.
  if (interval instanceof ConfigError) return { name: path, text: false, loose: false, read: Effect.fail(interval) }
  return {
    name: path,
    text: format === "env",
    loose: format === "env",
    ...(options.secrets === undefined ? {} : { secrets: options.secrets }),
    read: format === undefined ? unknownFormat(path) : read(path, format, options.optional === true),
    ...(options.watch === false ? {} : { watch: watchFile(path, interval) })
  }
}

const read = (path: string, format: Format, optional: boolean) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const info = yield* fs.stat(path)
    if (info.type !== "File") return yield* unavailable(path, `it is no file, but a ${info.type}`)
    // The size is looked at first, so that a huge file is refused before it fills the memory.
    if (Number(info.size) > maxBytes[format]) return yield* tooLarge(path, format)
    const bytes = yield* fs.readFile(path)
    if (bytes.length > maxBytes[format]) return yield* tooLarge(path, format)
    const text = yield* decodeText(path, bytes)
    const parsed = yield* Effect.promise(() => parse(format, text))
    if (parsed instanceof Problem) return yield* unavailable(path, parsed.message)
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
      return yield* unavailable(path, "it does not hold named values at its top")
    }
    // An object whose fields nobody knows yet: what they are is checked when the sources are merged.
    const record = parsed as Readonly<Record<string, unknown>>
    return format === "env" ? yield* environment(record as Readonly<Record<string, string>>) : record
  }).pipe(
    Effect.catchTags({
      SystemError: (error) => missing(path, optional, error),
      BadArgument: (error) => unavailable(path, error.message)
    })
  )

const environment = (variables: Readonly<Record<string, string>>) =>
  sections(variables, "__", (name) => (name.startsWith("FOUNDATION__") ? name.slice("FOUNDATION__".length) : name))

const decodeText = (path: string, bytes: Uint8Array) =>
  Effect.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    catch: () => unavailable(path, "it is not text in UTF-8; save it as that")
  })

const missing = (path: string, optional: boolean, error: PlatformError.SystemError) => {
  if (error.reason !== "NotFound") {
    return unavailable(path, `the file system says ${error.reason}; see that this process may read it`)
  }
  return optional
    ? Effect.succeed<Readonly<Record<string, unknown>>>({})
    : unavailable(path, "there is no such file; create it, correct the path, or make the source optional")
}

const tooLarge = (path: string, format: Format) =>
  unavailable(path, `it is larger than ${maxBytes[format]} bytes, the most for ${format}; split it or trim it`)

const unknownFormat = (path: string) =>
  Effect.suspend(() =>
    unavailable(path, "its name ends in no known format; name it .json, .yaml, .toml or .env, or give the format")
  )

const unavailable = (path: string, why: string): ConfigError =>
  new ConfigError({
    reason: "source_unavailable",
    source: path,
    message: `The configuration file ${path} cannot be used: ${why}`
  })
