import type { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Layer, Stream } from "effect"
import { Config } from "effect-foundation/Config"
import * as ConfigSql from "effect-foundation/Config/Sql"
import { postgresClient } from "effect-foundation/internal/Sql/Postgres/Client"
import { sqliteClient } from "effect-foundation/internal/Sql/Sqlite"
import { Telemetry } from "effect-foundation/Telemetry"
import { parent, runChild } from "../support/parent.js"

export type Command =
  | { readonly do: "set"; readonly key: string; readonly value: unknown }
  | { readonly do: "get"; readonly key: string }
  | { readonly do: "await"; readonly key: string; readonly value: unknown }
  | { readonly do: "increment"; readonly key: string; readonly times: number }

export type Said = { readonly ready: true } | { readonly done: Command["do"]; readonly value?: unknown }

/** A process that has its configuration from the table at the address, and does as it is told. */
const { receive, send } = parent<Said, Command>()

const address = process.argv[2] ?? ""
const client: Layer.Layer<SqlClient, unknown> = address.startsWith("postgres")
  ? postgresClient({ url: address })
  : sqliteClient({ filename: address })

const obey = (command: Command): Effect.Effect<unknown, unknown, Config> => {
  switch (command.do) {
    case "set":
      return Config.set(command.key, command.value)
    case "get":
      return Config.get(command.key)
    case "await":
      return Config.watch(command.key).pipe(
        Stream.filter((value) => JSON.stringify(value) === JSON.stringify(command.value)),
        Stream.runHead
      )
    case "increment":
      return Effect.forEach(Array.from({ length: command.times }), () =>
        Config.update(command.key, (value) => (typeof value === "number" ? value : 0) + 1)
      )
  }
}

runChild(
  Effect.gen(function* () {
    yield* send({ ready: true })
    while (true) {
      const command = yield* receive
      const value = yield* obey(command)
      yield* send({ done: command.do, ...(command.do === "get" ? { value } : {}) })
    }
  }).pipe(
    Effect.provide(
      Config.layerFrom(ConfigSql.source({ writable: true, deadline: "20 seconds" })).pipe(
        Layer.provide([client, Telemetry.layer])
      )
    )
  )
)
