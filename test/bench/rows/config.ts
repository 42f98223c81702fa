import convict from "convict"
import { ConfigProvider, Effect, Config as EffectConfig, Layer, Schema } from "effect"
import { Config, Telemetry } from "effect-foundation"
import { inRuntime, type Row } from "../Row.js"

/** A hundred values in ten sections. */
const valuesOf = (version: number) =>
  Object.fromEntries(
    Array.from({ length: 10 }, (_, section) => [
      `section${section}`,
      { version, port: 8080 + section, host: "localhost", ...fields }
    ])
  )
const fields = Object.fromEntries(Array.from({ length: 7 }, (_, at) => [`field${at}`, at]))

const schema: convict.Schema<Record<string, Record<string, unknown>>> = Object.fromEntries(
  Object.entries(valuesOf(0)).map(([section, values]) => [
    section,
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [
        name,
        { format: typeof value === "number" ? Number : String, default: value }
      ])
    )
  ])
)

const Port = Config.Key("section5.port", Schema.Number)
const EffectPort = EffectConfig.nested(EffectConfig.number("port"), "section5")

const isPort = (value: unknown) => value === 8085

export const rows = Effect.gen(function* () {
  const source = valuesOf(0)
  const services = Layer.provideMerge(Config.layerFrom(Config.object(source)), Telemetry.layer)
  const runtime = yield* Layer.toRuntime(
    Layer.merge(services, Layer.setConfigProvider(ConfigProvider.fromJson(valuesOf(0))))
  )
  const service = yield* Effect.provide(Config, runtime)
  const theirs = convict(schema)
  let version = 0

  const byString: Row<Config> = {
    work: "Config.get of a hit, by string",
    about:
      "Reads one of 100 values as a number. convict has checked the type before, and gives back whatever has been set since.",
    promise: 10,
    ours: { name: "Config", effect: () => Config.get("section5.port", 0), gives: isPort },
    peers: [
      {
        name: "effect/Config through a provider",
        effect: () => EffectConfig.nested(EffectConfig.number("port"), "section5"),
        gives: isPort,
        atMost: 0.2
      },
      {
        name: "convict",
        effect: () => Effect.sync(() => theirs.get("section5.port")),
        bare: () => theirs.get("section5.port"),
        gives: isPort,
        atMost: 1
      }
    ]
  }

  const byKey: Row<Config> = {
    work: "Config.get of a hit, by key",
    about: "The same by a key with a schema, which is made once, as the config of effect/Config is.",
    promise: 10,
    ours: { name: "Config", effect: () => Config.get(Port), gives: isPort },
    peers: [
      { name: "effect/Config through a provider", effect: EffectPort, gives: isPort, atMost: 0.2 },
      {
        name: "convict",
        effect: () => Effect.sync(() => theirs.get("section5.port")),
        bare: () => theirs.get("section5.port"),
        gives: isPort,
        atMost: 1
      }
    ]
  }

  const set: Row<Config> = {
    work: "Config.set",
    about:
      "Sets another value each time. Ours checks it against what has been read, makes a new snapshot and tells subscribers; convict writes it.",
    promise: 100,
    ours: {
      name: "Config",
      effect: () => Config.set("section3.port", ++version),
      gives: () => service.unsafeSnapshot().get("section3.port") === version
    },
    peers: [
      {
        name: "convict",
        effect: () => Effect.sync(() => theirs.set("section3.port", ++version)),
        bare: () => theirs.set("section3.port", ++version),
        gives: () => theirs.get("section3.port") === version
      }
    ]
  }

  const another = () => {
    for (const section of Object.values(source)) section.version = ++version
    return source
  }
  const loaded = (value: unknown) => value === version
  const reload: Row<Config> = {
    work: "Config.reload",
    about: "Reads an object of 100 values, of which ten have changed, checks them and switches to them.",
    promise: 1000,
    perSample: 20,
    ours: {
      name: "Config",
      effect: () => {
        another()
        return Config.reload
      },
      gives: () => loaded(service.unsafeSnapshot().get("section9.version"))
    },
    peers: [
      {
        name: "convict.load and validate",
        effect: () => Effect.sync(() => theirs.load(another()).validate({ allowed: "strict" })),
        bare: () => theirs.load(another()).validate({ allowed: "strict" }),
        gives: () => loaded(theirs.get("section9.version"))
      }
    ]
  }

  return inRuntime(runtime, [byString, byKey, set, reload])
})
