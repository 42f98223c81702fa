import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import * as EventsSql from "effect-foundation/Events/Sql"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { eventsContract } from "../contract/Events.js"

/** A directory of its own, removed when the scope closes. */
const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "events-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const inFile = Layer.unwrapScoped(
  Effect.map(directory, (path) => Layer.provide(EventsSql.layer(), sqliteClient({ filename: join(path, "events.db") })))
)

eventsContract("SQLite", inFile)
