import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Option, Redacted, Schema } from "effect"
import { Config } from "effect-foundation/Config"
import { CorrelationId } from "effect-foundation/CorrelationId"
import type { ConfigError } from "effect-foundation/FoundationError"
import { changing, collecting, environment, over } from "./sources.js"

const refused = <A, E extends { readonly message: string }, R>(read: Effect.Effect<A, E, R>) => Effect.flip(read)

describe("a read without a default", () => {
  it.scoped("answers the value, the section, or undefined", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("port")).toBe(8080)
      expect(yield* Config.get("server")).toEqual({ host: "h", deep: { x: null } })
      expect(yield* Config.get("server.deep.x")).toBe(null)
      expect(yield* Config.get("server.nothing")).toBeUndefined()
      expect(yield* Config.get("port.beneath")).toBeUndefined()
      expect(yield* Config.get("empty")).toEqual({})
    }).pipe(over([Config.object({ port: 8080, server: { host: "h", deep: { x: null } }, empty: {} })]))
  )
})

describe("a read with a default", () => {
  it.scoped("answers the value where it is of the type, and the default where there is none", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("port", 1)).toBe(8080)
      expect(yield* Config.get("host", "x")).toBe("localhost")
      expect(yield* Config.get("debug", false)).toBe(true)
      expect(yield* Config.get("supply", 1n)).toBe(10n)
      expect(yield* Config.get("tags", ["x"])).toEqual(["a", "b"])
      expect(yield* Config.get("nothing", 5)).toBe(5)
      expect(yield* Config.get("nullish", 5)).toBe(5)
      expect(yield* Config.get("nothing.at.all", ["x"])).toEqual(["x"])
    }).pipe(
      over([Config.object({ port: 8080, host: "localhost", debug: true, supply: 10, tags: ["a", "b"], nullish: null })])
    )
  )

  it.scoped("refuses a value of another type, naming path, source and both types", () =>
    Effect.gen(function* () {
      const error = yield* refused(Config.get("port", 8080))
      expect(error).toMatchObject({ reason: "invalid_value", path: "port", source: "app" })
      expect(error.message).toBe('The configuration key "port" (from app): expected a number, found the text "8080".')
      // A source that has types of its own means what it says: only text of the environment is converted.
      const reads: ReadonlyArray<Effect.Effect<unknown, ConfigError, Config>> = [
        Config.get("debug", true),
        Config.get("number", "text"),
        Config.get("text", 1n),
        Config.get("tags", [1]),
        Config.get("text", ["a"]),
        Config.get("section", "text"),
        Config.get("nan", 1),
        Config.get("text", Duration.zero)
      ]
      for (const read of reads) {
        expect((yield* refused(read)).reason).toBe("invalid_value")
      }
    }).pipe(
      over([
        Config.object(
          { port: "8080", debug: "true", number: 1, text: "many", tags: ["a"], section: {}, nan: Number.NaN },
          "app"
        )
      ])
    )
  )

  it.scoped("reads durations in the forms that people write, from every source", () =>
    Effect.gen(function* () {
      const read = (key: string) => Effect.map(Config.get(key, Duration.zero), Duration.toMillis)
      expect(yield* read("millis")).toBe(250)
      expect(yield* read("words")).toBe(5000)
      expect(yield* read("short")).toBe(250)
      expect(yield* read("own")).toBe(60_000)
      expect(yield* read("env")).toBe(90_000)
      expect(yield* read("bare")).toBe(1500)
      expect(yield* Config.get("forever", Duration.zero)).toEqual(Duration.infinity)
    }).pipe(
      over([
        Config.object({
          millis: 250,
          words: "5 seconds",
          short: "250ms",
          own: Duration.minutes(1),
          forever: "infinity"
        }),
        environment({ FOUNDATION__ENV: "90 seconds", FOUNDATION__BARE: "1500" })
      ])
    )
  )

  it.scoped("carries the correlation id of who reads", () =>
    Effect.gen(function* () {
      const error = yield* refused(Config.get("port", 1)).pipe(CorrelationId.with("req-1"))
      expect(error.correlationId).toBe("req-1")
    }).pipe(over([Config.object({ port: "x" })]))
  )
})

describe("text of the environment", () => {
  const variables = environment({
    FOUNDATION__PORT: " 8080 ",
    FOUNDATION__RATIO: "-1.5e3",
    FOUNDATION__DEBUG: "Yes",
    FOUNDATION__QUIET: "0",
    FOUNDATION__SUPPLY: "12345678901234567890",
    FOUNDATION__TAGS: "a, b ,c",
    FOUNDATION__NONE: "",
    FOUNDATION__PORTS: "1,2,3",
    FOUNDATION__JSON: '["x,y", "z"]',
    FOUNDATION__SERVER__LIMITS__MAX_REQUESTS: "8",
    FOUNDATION__SERVER__LIMITS__ON: "true",
    FOUNDATION__SERVER__NAME: "main",
    FOUNDATION__POINT: '{"x": 1, "y": 2}',
    FOUNDATION__MODE: "2",
    FOUNDATION__BAD: "many",
    OTHER__PORT: "1",
    FOUNDATION_CONFIG: "not a value"
  })

  it.scoped("is decoded to the type of the default", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("port")).toBe(" 8080 ")
      expect(yield* Config.get("port", "x")).toBe(" 8080 ")
      expect(yield* Config.get("port", 1)).toBe(8080)
      expect(yield* Config.get("ratio", 1)).toBe(-1500)
      expect(yield* Config.get("debug", false)).toBe(true)
      expect(yield* Config.get("quiet", true)).toBe(false)
      expect(yield* Config.get("supply", 0n)).toBe(12345678901234567890n)
      expect(yield* Config.get("tags", ["x"])).toEqual(["a", "b", "c"])
      expect(yield* Config.get("none", ["x"])).toEqual([])
      expect(yield* Config.get("ports", [0])).toEqual([1, 2, 3])
      expect(yield* Config.get("json", ["x"])).toEqual(["x,y", "z"])
      const error = yield* refused(Config.get("bad", 1))
      expect(error).toMatchObject({ reason: "invalid_value", path: "bad", source: "env" })
      expect((yield* refused(Config.get("tags", [1]))).path).toBe("tags")
      expect((yield* refused(Config.get("none", 1))).path).toBe("none")
    }).pipe(over([variables]))
  )

  it.scoped("is decoded to what a schema takes", () =>
    Effect.gen(function* () {
      const decode = <A, I>(key: string, schema: Schema.Schema<A, I>) => Config.get(Config.Key(key, schema))
      expect(yield* decode("port", Schema.Number)).toBe(8080)
      expect(yield* decode("port", Schema.NumberFromString)).toBe(8080)
      expect(yield* decode("port", Schema.Int.pipe(Schema.between(1, 65535)))).toBe(8080)
      expect(yield* decode("debug", Schema.Boolean)).toBe(true)
      expect(yield* decode("supply", Schema.BigIntFromSelf)).toBe(12345678901234567890n)
      expect(yield* decode("tags", Schema.Array(Schema.String))).toEqual(["a", "b", "c"])
      expect(yield* decode("ports", Schema.Array(Schema.Int))).toEqual([1, 2, 3])
      expect(yield* decode("ports", Schema.Tuple(Schema.Int, Schema.Int, Schema.String))).toEqual([1, 2, "3"])
      expect(yield* decode("mode", Schema.Literal(1, 2, 3))).toBe(2)
      expect(yield* decode("mode", Schema.Union(Schema.Boolean, Schema.Number))).toBe(2)
      expect(yield* decode("mode", Schema.Union(Schema.Number, Schema.String))).toBe("2")
      expect(yield* decode("point", Schema.Struct({ x: Schema.Number, y: Schema.Number }))).toEqual({ x: 1, y: 2 })
      const Limits = Schema.Struct({ maxRequests: Schema.Number, on: Schema.optional(Schema.Boolean) })
      expect(yield* decode("server", Schema.Struct({ limits: Limits, name: Schema.String }))).toEqual({
        limits: { maxRequests: 8, on: true },
        name: "main"
      })
      expect(yield* decode("server.limits", Schema.Record({ key: Schema.String, value: Schema.Unknown }))).toEqual({
        maxRequests: "8",
        on: "true"
      })
      const error = yield* refused(decode("bad", Schema.Number))
      expect(error).toMatchObject({ reason: "invalid_value", path: "bad", source: "env" })
      expect(error.message).toContain("many")
    }).pipe(over([variables]))
  )

  it.scoped("goes to the name that an earlier source has, whatever its spelling, else to camel case", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("rateLimiter.my-api.maxRequests", 0)).toBe(2)
      expect(yield* Config.get("snake_case.a_b", 0)).toBe(2)
      expect(yield* Config.get("newSection.someKey", 0)).toBe(3)
      // The plain lower case of the variable is found as well, sections too, and is not a second value.
      expect(yield* Config.get("new_section.some_key", 0)).toBe(3)
      expect(yield* Config.get("new_section")).toEqual({ someKey: "3" })
      expect((yield* Config.snapshot).keys.toSorted()).toEqual([
        "newSection.someKey",
        "rateLimiter.my-api.maxRequests",
        "snake_case.a_b"
      ])
      yield* Config.set("new_section.some_key", 4)
      expect(yield* Config.get("newSection.someKey", 0)).toBe(4)
      expect(yield* Config.get("new_section.some_key", 0)).toBe(4)
    }).pipe(
      over([
        Config.object({ rateLimiter: { "my-api": { maxRequests: 1 } }, snake_case: { a_b: 1 } }),
        environment({
          FOUNDATION__RATE_LIMITER__MY_API__MAX_REQUESTS: "2",
          FOUNDATION__SNAKE_CASE__A_B: "2",
          FOUNDATION__NEW_SECTION__SOME_KEY: "3"
        })
      ])
    )
  )

  it.scoped("has a prefix and a separator of one's own", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("db.port", 0)).toBe(5)
    }).pipe(
      over([Config.env({ prefix: "APP_", separator: "_", env: { APP_DB_PORT: "5", FOUNDATION__DB__PORT: "6" } })])
    )
  )
})

describe("a read by key", () => {
  it.scoped("answers what the schema makes of the value, the default where there is none, else a ConfigError", () =>
    Effect.gen(function* () {
      const When = Config.Key("when", Schema.Date)
      expect((yield* Config.get(When)).getTime()).toBe(Date.UTC(2024, 0, 2))
      expect(yield* Config.get(When)).toBe(yield* Config.get(When))
      expect(yield* Config.get(Config.Key("nothing", Schema.Number, { default: 7 }))).toBe(7)
      expect(yield* Config.get(Config.Key("nullish", Schema.Number, { default: 7 }))).toBe(7)
      expect(yield* Config.get(Config.Key("nullish", Schema.NullOr(Schema.Number), { default: 7 }))).toBe(null)
      const missing = yield* refused(Config.get(Config.Key("nothing", Schema.Number)))
      expect(missing).toMatchObject({ reason: "invalid_value", path: "nothing" })
      expect(missing.message).toContain("required")
      const wrong = yield* refused(Config.get(Config.Key("when", Schema.Number, { default: 7 })))
      expect(wrong).toMatchObject({ reason: "invalid_value", path: "when", source: "app" })
    }).pipe(over([Config.object({ when: "2024-01-02", nullish: null }, "app")]))
  )

  it.effect("that was declared and does not hold keeps the service from starting", () =>
    Effect.gen(function* () {
      const start = (record: Record<string, unknown>) =>
        Effect.flip(
          Effect.scoped(over([Config.object(record, "app")], [Config.Key("port", Schema.Number)])(Effect.void))
        )
      expect(yield* start({ port: "x" })).toMatchObject({ reason: "invalid_value", path: "port", source: "app" })
      expect(yield* start({})).toMatchObject({ reason: "invalid_value", path: "port" })
    })
  )

  it.scoped("refuses a schema that does not decode in one step", () =>
    Effect.gen(function* () {
      const Later = Schema.transformOrFail(Schema.String, Schema.String, {
        decode: (text) => Effect.delay(Effect.succeed(text), "1 second"),
        encode: Effect.succeed
      })
      expect((yield* refused(Config.get(Config.Key("text", Later)))).reason).toBe("invalid_value")
    }).pipe(over([Config.object({ text: "x" })]))
  )
})

describe("origin", () => {
  it.scoped("is the last source that states the value, or that it was set", () =>
    Effect.gen(function* () {
      expect(yield* Config.origin("a")).toEqual(Option.some("first"))
      expect(yield* Config.origin("b")).toEqual(Option.some("env"))
      expect(yield* Config.origin("none")).toEqual(Option.none())
      yield* Config.set("a", 2)
      expect(yield* Config.origin("a")).toEqual(Option.some("set"))
      yield* Config.unset("a")
      expect(yield* Config.origin("a")).toEqual(Option.some("first"))
    }).pipe(over([Config.object({ a: 1, b: 1 }, "first"), environment({ FOUNDATION__B: "2" })]))
  )
})

const Hidden = Config.Key("stripe", Schema.Redacted(Schema.String))

describe("secrets", () => {
  const secret = "hunter2-7f3a"
  const record = {
    stripe: secret,
    password: secret,
    pin: { apiKey: "12345678" },
    credentials: { user: secret, list: [secret] },
    database: { url: `postgres://app:${secret}@db/app`, host: "db" },
    listed: { inner: secret },
    open: "visible"
  }
  const source: Config.Source = { ...Config.object(record, "app"), secrets: ["listed"] }

  it.scoped("are shown by nothing that shows the configuration", () =>
    Effect.gen(function* () {
      const { inspect } = yield* Effect.promise(() => import("node:util"))
      const snapshot = yield* Config.snapshot
      const shown = [
        JSON.stringify(snapshot),
        inspect(snapshot, { depth: 20, showHidden: true }),
        String(snapshot),
        JSON.stringify(snapshot.tree),
        inspect(snapshot.tree, { depth: 20 }),
        inspect(yield* Config.get("credentials"), { depth: 20 }),
        inspect(yield* Config.get("password"))
      ]
      for (const text of shown) {
        expect(text).not.toContain(secret)
        expect(text).not.toContain("12345678")
        expect(text).toContain("<redacted>")
      }
      expect(JSON.stringify(snapshot)).toContain("visible")
      expect(JSON.stringify(snapshot)).toContain('"host":"db"')
    }).pipe(over([source], [Hidden]))
  )

  it.scoped("are Redacted to a key and to a read without a type, and text to who asks for text", () =>
    Effect.gen(function* () {
      expect(Redacted.value(yield* Config.get(Hidden))).toBe(secret)
      expect(Redacted.isRedacted(yield* Config.get("stripe"))).toBe(true)
      expect(yield* Config.get("password", "")).toBe(secret)
      expect(Redacted.value(yield* Config.get("password", Redacted.make("")))).toBe(secret)
      const Credentials = Schema.Struct({ user: Schema.String, list: Schema.Array(Schema.Redacted(Schema.String)) })
      const read = yield* Config.get(Config.Key("credentials", Credentials))
      expect(read.user).toBe(secret)
      expect(read.list.map(Redacted.value)).toEqual([secret])
      expect(yield* Config.get("pin.apiKey", "")).toBe("12345678")
    }).pipe(over([source]))
  )

  it.scoped("are hidden from the first read on that says so", () =>
    Effect.gen(function* () {
      expect(yield* Config.get("stripe")).toBe(secret)
      yield* Config.get(Hidden)
      expect(Redacted.isRedacted(yield* Config.get("stripe"))).toBe(true)
      expect(JSON.stringify(yield* Config.snapshot)).not.toContain(`"stripe":"${secret}"`)
      yield* Config.get("open", Redacted.make(""))
      expect(Redacted.isRedacted(yield* Config.get("open"))).toBe(true)
    }).pipe(over([source]))
  )

  it.scoped("are not in the errors about them", () =>
    Effect.gen(function* () {
      const Inner = Schema.Struct({ user: Schema.Number, other: Schema.Number })
      const errors = [
        yield* refused(Config.get("password", 1)),
        yield* refused(Config.get("credentials", 1)),
        yield* refused(Config.get(Config.Key("credentials", Inner))),
        yield* refused(Config.get(Config.Key("password", Schema.Redacted(Schema.NumberFromString)))),
        yield* refused(Config.get(Config.Key("database.url", Schema.NumberFromString))),
        yield* refused(Config.get(Config.Key("listed.inner", Schema.Number))),
        yield* refused(Config.get("credentials.list", 1)),
        yield* refused(Config.set(Config.Key("password", Schema.String.pipe(Schema.maxLength(3))), secret)),
        yield* refused(
          Config.set(Config.Key("db", Schema.Struct({ password: Schema.String.pipe(Schema.maxLength(3)) })), {
            password: secret
          })
        ),
        yield* refused(
          Config.set(
            Config.Key("stripe", Schema.Redacted(Schema.String.pipe(Schema.maxLength(3)))),
            Redacted.make(secret)
          )
        )
      ]
      for (const error of errors) {
        expect(error.reason).toBe("invalid_value")
        const all = [error.message, JSON.stringify(error), String(error), Cause.pretty(Cause.fail(error)), error.stack]
        expect(all.join("\n")).not.toContain(secret)
      }
    }).pipe(over([source]))
  )

  it.scoped("are Redacted in the changes", () =>
    Effect.gen(function* () {
      const { source, state } = changing({ password: "one", token: "same" })
      yield* Effect.gen(function* () {
        const config = yield* Config
        const changes = yield* collecting(config)
        state.record = { password: "two", token: "same" }
        yield* Config.reload
        const [change, ...others] = yield* changes
        expect(others).toEqual([])
        expect(change?.key).toBe("password")
        expect(Redacted.isRedacted(change?.before) && Redacted.value(change.before)).toBe("one")
        expect(Redacted.isRedacted(change?.after) && Redacted.value(change.after)).toBe("two")
      }).pipe(over([source]))
    })
  )

  it.scoped("are not numbers, nor what has another word in its name", () =>
    Effect.gen(function* () {
      const { llm, tokenizer, ...others } = (yield* Config.snapshot).tree
      expect([llm, tokenizer, others]).toEqual([{ maxTokens: 4096, temperature: 0.5 }, "x", { sortKey: "id" }])
      expect((yield* refused(Config.get("tokenizer", 1))).message).toContain('found the text "x"')
      expect((yield* refused(Config.get("llm.maxTokens", ""))).message).toContain("found the number 4096")
    }).pipe(over([Config.object({ llm: { maxTokens: 4096, temperature: 0.5 }, tokenizer: "x", sortKey: "id" })]))
  )

  it.scoped("are what a source of any kind is told that they are, booleans too", () =>
    Effect.gen(function* () {
      expect(JSON.stringify(yield* Config.snapshot)).toBe(
        '{"stripe":{"id":"<redacted>","live":"<redacted>","none":null},"a":1,"b":"x","sendgrid":{"accountId":"<redacted>","userId":"<redacted>"}}'
      )
      expect(yield* Config.get("stripe.live", false)).toBe(true)
      expect(yield* Config.origin("stripe.id")).toEqual(Option.some("app"))
    }).pipe(
      over([
        Config.object({ stripe: { id: 7, live: true, none: null }, a: 1 }, { name: "app", secrets: ["stripe"] }),
        Config.env({
          env: { FOUNDATION__SENDGRID__ACCOUNT_ID: "x", FOUNDATION__SENDGRID__USER_ID: "x", FOUNDATION__B: "x" },
          secrets: ["sendgrid.accountId", "sendgrid.user_id"]
        })
      ])
    )
  )

  it.scoped("are found in the objects of a list", () =>
    Effect.gen(function* () {
      expect(JSON.stringify(yield* Config.snapshot)).toBe(
        '{"servers":[{"host":"a","password":"<redacted>"},{"host":"b","tls":[{"privateKey":"<redacted>","bits":1}]}]}'
      )
      const Servers = Schema.Array(Schema.Struct({ host: Schema.String, password: Schema.optional(Schema.String) }))
      expect(yield* Config.get(Config.Key("servers", Servers))).toEqual([
        { host: "a", password: secret },
        { host: "b" }
      ])
      const error = yield* refused(Config.get(Config.Key("servers", Schema.Array(Schema.Number))))
      expect(error.message).not.toContain(secret)
    }).pipe(
      over([
        Config.object({
          servers: [
            { host: "a", password: secret },
            { host: "b", tls: [{ privateKey: secret, bits: 1 }] }
          ]
        })
      ])
    )
  )

  it.scoped("that only look like one are text, which no error quotes", () =>
    Effect.gen(function* () {
      const Billing = Schema.Struct({ stripeKey: Schema.Number, retries: Schema.Number })
      const errors = [
        yield* refused(Config.get("billing.stripeKey", 1)),
        yield* refused(Config.get(Config.Key("billing.stripeKey", Schema.Number))),
        yield* refused(Config.get(Config.Key("billing", Schema.Number))),
        yield* refused(Config.get(Config.Key("keys", Schema.Array(Schema.Number)))),
        yield* refused(
          Config.set(Config.Key("billing.stripeKey", Schema.String.pipe(Schema.maxLength(3))), "sk_live_abcdef")
        )
      ]
      for (const error of errors) expect(error.message).not.toContain("abcdef")
      expect(yield* Config.get("billing.stripeKey")).toBe("sk_live_abcdef")
      // What is wrong beside it is quoted.
      const beside = yield* refused(Config.get(Config.Key("billing", Schema.Struct({ retries: Schema.Number }))))
      expect(beside.message).toContain("many")
      const both = yield* refused(Config.get(Config.Key("billing", Billing)))
      expect(both.message).not.toContain("abcdef")
      expect(both.message).toContain("at stripeKey: ")
    }).pipe(
      over([
        Config.object({ billing: { stripeKey: "sk_live_abcdef", retries: "many" }, keys: ["a", "sk_live_abcdef"] })
      ])
    )
  )

  it.scoped("that code gives as Redacted stay so", () =>
    Effect.gen(function* () {
      expect(Redacted.isRedacted(yield* Config.get("plain"))).toBe(true)
      expect(yield* Config.get("plain", "")).toBe("x")
      const Own = Config.Key("plain", Schema.RedactedFromSelf(Schema.String))
      expect(Redacted.value(yield* Config.get(Own))).toBe("x")
      yield* Config.set(Own, Redacted.make("y"))
      expect(Redacted.value(yield* Config.get(Own))).toBe("y")
    }).pipe(over([Config.object({ plain: Redacted.make("x") })]))
  )
})

it.effect("a read where there is no Config is the defect of any missing service", () =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(Config.get("port") as Effect.Effect<unknown, unknown>)
    expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain("effect-foundation/Config")
  })
)
