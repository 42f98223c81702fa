import { describe, expect, it } from "@effect/vitest"
import { ConfigError, ConfigProvider, Duration, Effect, Config as EffectConfig, HashMap, Layer, Redacted } from "effect"
import { Config } from "effect-foundation/Config"
import { Telemetry } from "effect-foundation/Telemetry"
import { environment, over } from "./sources.js"

const record = {
  port: 8080,
  debug: true,
  name: "main",
  timeout: "5 seconds",
  own: Duration.seconds(3),
  password: "hunter2",
  tags: ["a", "b,c"],
  text: "x, y",
  mode: "fast",
  big: 12345678901234567890n,
  server: { host: "h", limits: { max: 5 } },
  servers: [
    { host: "one", port: 1 },
    { host: "two", port: 2 }
  ],
  weights: { a: 1, b: 2 }
}

describe("the provider", () => {
  it.scoped("serves effect/Config", () =>
    Effect.gen(function* () {
      const read = yield* Effect.withConfigProvider(
        EffectConfig.all({
          port: EffectConfig.number("port"),
          env: EffectConfig.integer("fromEnv"),
          debug: EffectConfig.boolean("debug"),
          name: EffectConfig.string("name"),
          timeout: EffectConfig.duration("timeout"),
          own: EffectConfig.duration("own"),
          password: EffectConfig.redacted("password"),
          tags: EffectConfig.array(EffectConfig.string(), "tags"),
          text: EffectConfig.array(EffectConfig.string(), "text"),
          mode: EffectConfig.literal("fast", "slow")("mode"),
          host: EffectConfig.nested(EffectConfig.string("host"), "server"),
          max: EffectConfig.number("max").pipe(EffectConfig.nested("limits"), EffectConfig.nested("server")),
          dotted: EffectConfig.number("server.limits.max"),
          big: EffectConfig.string("big"),
          servers: EffectConfig.array(
            EffectConfig.all({ host: EffectConfig.string("host"), port: EffectConfig.port("port") }),
            "servers"
          ),
          weights: EffectConfig.hashMap(EffectConfig.number(), "weights"),
          missing: EffectConfig.withDefault(EffectConfig.string("missing"), "none"),
          optional: EffectConfig.option(EffectConfig.nested(EffectConfig.string("x"), "nowhere"))
        }),
        yield* Config.provider
      )
      expect(read).toMatchObject({
        port: 8080,
        env: 7,
        debug: true,
        name: "main",
        tags: ["a", "b,c"],
        text: ["x", "y"],
        mode: "fast",
        host: "h",
        max: 5,
        dotted: 5,
        big: "12345678901234567890",
        servers: [
          { host: "one", port: 1 },
          { host: "two", port: 2 }
        ],
        missing: "none",
        optional: { _tag: "None" }
      })
      expect([Duration.toMillis(read.timeout), Duration.toMillis(read.own)]).toEqual([5000, 3000])
      expect(Redacted.value(read.password)).toBe("hunter2")
      expect([...HashMap.entries(read.weights)].toSorted()).toEqual([
        ["a", 1],
        ["b", 2]
      ])
    }).pipe(over([Config.object(record), environment({ FOUNDATION__FROM_ENV: "7" })]))
  )

  it.scoped("says what is missing or wrong, and not what a secret is", () =>
    Effect.gen(function* () {
      const provider = yield* Config.provider
      const failing = <A>(config: EffectConfig.Config<A>) => Effect.flip(Effect.withConfigProvider(config, provider))
      const missing = yield* failing(EffectConfig.nested(EffectConfig.string("nothing"), "server"))
      expect(ConfigError.isMissingData(missing) && missing.path).toEqual(["server", "nothing"])
      expect(ConfigError.isInvalidData(yield* failing(EffectConfig.number("name")))).toBe(true)
      expect(ConfigError.isInvalidData(yield* failing(EffectConfig.string("server")))).toBe(true)
      expect(ConfigError.isMissingData(yield* failing(EffectConfig.string("__proto__")))).toBe(true)
      expect(String(yield* failing(EffectConfig.redacted(EffectConfig.number("password"))))).not.toContain("hunter2")
    }).pipe(over([Config.object(record)]))
  )

  it.scoped("is live: a value that was set or reloaded is read from then on, through every combinator", () =>
    Effect.gen(function* () {
      const port = EffectConfig.number("port")
      const max = EffectConfig.number("max")
      const provider = yield* Config.provider
      const nested = ConfigProvider.nested(provider, "server.limits")
      expect(yield* Effect.withConfigProvider(port, provider)).toBe(8080)
      expect(yield* Effect.withConfigProvider(max, nested)).toBe(5)
      yield* Config.set("port", 1)
      yield* Config.set("server.limits.max", 6)
      expect(yield* Effect.withConfigProvider(port, provider)).toBe(1)
      expect(yield* Effect.withConfigProvider(max, nested)).toBe(6)
      const orElse = ConfigProvider.orElse(ConfigProvider.fromMap(new Map([["other", "2"]])), () => provider)
      expect(yield* Effect.withConfigProvider(port, orElse)).toBe(1)
    }).pipe(over([Config.object(record)]))
  )

  it.effect("stands before the one that was in force where layerProvider is built, which has what is not live", () =>
    Effect.gen(function* () {
      const env = new Map([
        ["HOME", "/root"],
        ["port", "1"],
        ["name", "shadowed"],
        ["tags[0]", "shadowed"],
        ["tags[2]", "shadowed"],
        ["weights.c", "3"]
      ])
      yield* Effect.gen(function* () {
        expect(yield* EffectConfig.string("HOME")).toBe("/root")
        expect(yield* EffectConfig.number("port")).toBe(8080)
        expect(yield* EffectConfig.array(EffectConfig.string(), "tags")).toEqual(["a", "b,c"])
        const weights = yield* EffectConfig.hashMap(EffectConfig.number(), "weights")
        expect([...HashMap.entries(weights)].toSorted()).toEqual([
          ["a", 1],
          ["b", 2],
          ["c", 3]
        ])
        // A live value that is wrong is told, not passed over.
        expect(ConfigError.isInvalidData(yield* Effect.flip(EffectConfig.number("name")))).toBe(true)
        const missing = yield* Effect.flip(EffectConfig.string("nothing"))
        expect(ConfigError.isMissingDataOnly(missing)).toBe(true)
        expect(yield* EffectConfig.withDefault(EffectConfig.string("nothing"), "none")).toBe("none")
        yield* Config.set("HOME", "/live")
        expect(yield* EffectConfig.string("HOME")).toBe("/live")
        yield* Config.unset("HOME")
        expect(yield* EffectConfig.string("HOME")).toBe("/root")
      }).pipe(
        Effect.provide(
          Config.layerProvider.pipe(
            Layer.provideMerge(Config.layerFrom(Config.object(record))),
            Layer.provide(Telemetry.layer)
          )
        ),
        Effect.withConfigProvider(ConfigProvider.fromMap(env))
      )
    })
  )

  it.effect("is set for a whole program by layerProvider", () =>
    Effect.gen(function* () {
      expect(yield* EffectConfig.number("port")).toBe(8080)
      yield* Config.set("port", 9)
      expect(yield* EffectConfig.number("port")).toBe(9)
    }).pipe(
      Effect.provide(
        Config.layerProvider.pipe(
          Layer.provideMerge(Config.layerFrom(Config.object(record))),
          Layer.provide(Telemetry.layer)
        )
      )
    )
  )
})
