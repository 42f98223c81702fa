import { Effect, Layer } from "effect"
import { ServiceRegistry, Telemetry } from "effect-foundation"
import { inRuntime, type Row } from "../Row.js"

const services = Layer.provideMerge(ServiceRegistry.layer, Telemetry.layer)

/** A thousand names, of which one is looked up. */
const names = Array.from({ length: 1000 }, (_, at) => `service-${at}`)

export const rows = Effect.gen(function* () {
  const runtime = yield* Layer.toRuntime(services)
  const addresses = new Map<string, URL>()
  for (const name of names) {
    const address = new URL(`http://10.0.0.1/${name}`)
    addresses.set(name, address)
    yield* Effect.provide(ServiceRegistry.register(name, address), runtime)
  }

  const lookup: Row<ServiceRegistry> = {
    work: "ServiceRegistry.lookup",
    about: "Looks one of 1000 names up. A map does not know whether the service still lives.",
    ours: {
      name: "ServiceRegistry",
      effect: () => ServiceRegistry.lookup("service-500"),
      gives: (found) => (found as ServiceRegistry.Registration).name === "service-500"
    },
    peers: [
      {
        name: "Effect.sync of a Map.get",
        effect: () => Effect.sync(() => addresses.get("service-500")),
        bare: () => addresses.get("service-500"),
        gives: (found) => found instanceof URL,
        atMost: 2
      }
    ]
  }
  return inRuntime(runtime, [lookup])
})
