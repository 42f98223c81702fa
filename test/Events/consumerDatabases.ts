import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Redacted } from "effect"
import { freshDatabase } from "../support/postgres.js"
import type { Place } from "./consumerProcess.js"

const file = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "consumers-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
).pipe(Effect.map((directory): Place => join(directory, "events.db")))

const database = Effect.map(freshDatabase, (url): Place => Redacted.value(url))

/** A place of its own on each engine. */
export const places = { SQLite: file, PostgreSQL: database } as const
