import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import * as Postgres from "effect-foundation/Foundation/Postgres"
import { writeStatements } from "./Statements.js"

/** A process of its own, which main.ts starts and kills. */
const Live = Layer.unwrapEffect(Effect.map(Config.redacted("DATABASE_URL"), (url) => Postgres.layer({ url })))

NodeRuntime.runMain(Effect.provide(writeStatements, Live))
