import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import * as ServiceRegistrySql from "effect-foundation/ServiceRegistry/Sql"
import { serviceRegistryContract } from "../contract/ServiceRegistry.js"
import { freshSchema } from "../support/postgres.js"

const registry = ServiceRegistrySql.layer({ advertise: "http://localhost:9000" })

const sqlite = Layer.unwrapScoped(
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "registry-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    ),
    (directory) => sqliteClient({ filename: join(directory, "registry.db") })
  )
)
const postgres = Layer.unwrapScoped(Effect.map(freshSchema, (url) => postgresClient({ url, maxConnections: 2 })))

serviceRegistryContract("SQLite", Layer.provide(registry, sqlite), { live: true })
serviceRegistryContract("PostgreSQL", Layer.provide(registry, postgres), { live: true })
