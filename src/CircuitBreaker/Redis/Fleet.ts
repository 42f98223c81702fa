import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ConfigError } from "../../FoundationError.js"
import { Redis } from "../../Redis.js"
import { Telemetry } from "../../Telemetry.js"
import type { Backend } from "../Backend.js"
import { AdvisedCircuit } from "./AdvisedCircuit.js"
import { type Options, settingsOf } from "./Options.js"
import { SharedCircuit } from "./SharedCircuit.js"
import { Store } from "./Store.js"

/** How long the layer waits for the subscription: without it, changes that come first would be heard of late. */
const subscribedWithin = "1 second"

/** Circuits in Redis. */
export const redis = (options: Options): Effect.Effect<Backend, ConfigError, Redis | Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const settings = yield* settingsOf(options)
    const store = new Store(
      settings,
      yield* Redis,
      yield* Telemetry,
      yield* Effect.clock,
      yield* Effect.runtime<never>(),
      yield* Effect.scope,
      yield* Effect.sync(() => randomBytes(8).toString("hex"))
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => store.subscribe()),
      (unsubscribe) => Effect.sync(unsubscribe)
    )
    yield* Effect.timeoutOption(store.subscribed, subscribedWithin)
    const Circuit = settings.mode === "local" ? AdvisedCircuit : SharedCircuit
    return {
      circuit: (name, terms, moved) => new Circuit(store, name, terms, moved),
      elsewhere: (moved) => {
        store.elsewhere = moved
      }
    }
  })
