import { Effect } from "effect"
import { Config } from "effect-foundation/Config"
import { Telemetry } from "effect-foundation/Telemetry"
import { configContract } from "../contract/Config.js"

configContract("over an object", (values, keys = []) => {
  const record: Record<string, unknown> = { ...values }
  return Config.make({ sources: [Config.object(record)], keys }).pipe(
    Effect.map((config) => ({
      config,
      setOrigin: "set",
      state: (values: Readonly<Record<string, unknown>>) =>
        Effect.sync(() => {
          for (const key of Object.keys(record)) delete record[key]
          Object.assign(record, values)
        })
    })),
    Effect.provide(Telemetry.layer)
  )
})
