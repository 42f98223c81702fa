import { HttpApiSchema } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Equal, Exit, Match, Schema } from "effect"
import {
  AlreadyRegistered,
  CircuitOpen,
  ConfigError,
  EventError,
  FoundationError,
  isFoundationError,
  OperationTimeout,
  RateLimited,
  RegistryError,
  ServiceNotFound,
  StoreUnavailable,
  VersionConflict
} from "effect-foundation/FoundationError"
import * as fc from "fast-check"
import { expectTypeOf } from "vitest"

const second = Duration.seconds(1)

const samples: { readonly [Tag in FoundationError["_tag"]]: Extract<FoundationError, { readonly _tag: Tag }> } = {
  ConfigError: new ConfigError({ message: "m", reason: "invalid_value", path: "server.port", source: "file" }),
  EventError: new EventError({ message: "m", reason: "invalid_event" }),
  VersionConflict: new VersionConflict({ message: "m", stream: "order-1", expected: "none", actual: 3 }),
  AlreadyRegistered: new AlreadyRegistered({ message: "m", service: "auth", holder: { zone: "a" } }),
  ServiceNotFound: new ServiceNotFound({ message: "m", service: "auth" }),
  RegistryError: new RegistryError({ message: "m", reason: "invalid_name" }),
  CircuitOpen: new CircuitOpen({ message: "m", circuit: "payments", state: "half_open", retryAfter: second }),
  OperationTimeout: new OperationTimeout({ message: "m", circuit: "payments", timeout: second }),
  RateLimited: new RateLimited({
    message: "m",
    limiter: "api",
    key: "user-1",
    limit: 100,
    interval: Duration.minutes(1),
    retryAfter: second
  }),
  StoreUnavailable: new StoreUnavailable({ message: "m", component: "rate_limiter" })
}

const statuses: { readonly [Tag in FoundationError["_tag"]]: number } = {
  ConfigError: 500,
  EventError: 400,
  VersionConflict: 409,
  AlreadyRegistered: 409,
  ServiceNotFound: 404,
  RegistryError: 500,
  CircuitOpen: 503,
  OperationTimeout: 504,
  RateLimited: 429,
  StoreUnavailable: 503
}

const codes: { readonly [Tag in FoundationError["_tag"]]: FoundationError["code"] } = {
  ConfigError: "config_error",
  EventError: "event_error",
  VersionConflict: "version_conflict",
  AlreadyRegistered: "already_registered",
  ServiceNotFound: "not_found",
  RegistryError: "registry_error",
  CircuitOpen: "circuit_open",
  OperationTimeout: "timeout",
  RateLimited: "rate_limited",
  StoreUnavailable: "store_unavailable"
}

const throughJson = (error: FoundationError): FoundationError =>
  Schema.decodeUnknownSync(FoundationError)(JSON.parse(JSON.stringify(Schema.encodeSync(FoundationError)(error))))

describe("FoundationError", () => {
  it.each(Object.values(samples))("$_tag comes back from JSON as it went", (error) => {
    const back = throughJson(error)
    expect({ ...back }).toEqual({ ...error })
    expect(back).toBeInstanceOf(error.constructor)
    expect(back.message).toBe(error.message)
  })

  it("keeps any text and any JSON context through the wire", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          fc.jsonValue()
        ),
        (message, context) => {
          const json = JSON.parse(JSON.stringify(context))
          const back = throughJson(new EventError({ message, context: json, reason: "storage_full" }))
          expect(back.message).toBe(message)
          expect(back.context).toEqual(json)
        }
      )
    )
  })

  it("keeps the name and message of the cause", () => {
    const back = throughJson(
      new ConfigError({ message: "m", reason: "source_unavailable", cause: new TypeError("no such file") })
    )
    expect(back.cause).toMatchObject({ name: "TypeError", message: "no such file" })
  })

  it("refuses to decode an error with a code that is not its own", () => {
    const encoded = { ...Schema.encodeSync(FoundationError)(samples.CircuitOpen), code: "rate_limited" }
    expect(Exit.isFailure(Schema.decodeUnknownEither(FoundationError)(encoded).pipe(Effect.runSyncExit))).toBe(true)
  })

  it.each(Object.values(samples))(
    "$_tag states its code, and the HTTP status that an HttpApi endpoint answers",
    (error) => {
      const member = FoundationError.members.find((candidate) => error instanceof candidate)
      expect(member && HttpApiSchema.getStatusErrorAST(member.ast)).toBe(statuses[error._tag])
      expect(error.code).toBe(codes[error._tag])
    }
  )

  it("tells its own errors from all others", () => {
    for (const error of Object.values(samples)) expect(isFoundationError(error)).toBe(true)
    const others = [
      null,
      undefined,
      "CircuitOpen",
      new Error("CircuitOpen"),
      { _tag: "CircuitOpen" },
      new Cause.TimeoutException()
    ]
    for (const other of others) expect(isFoundationError(other)).toBe(false)
  })

  it("leaves the name of an error to its class, so that logs and traces show the kind of failure", () => {
    for (const error of Object.values(samples)) {
      expect(error.name).toBe(error._tag)
      expect(String(error)).toBe(`${error._tag}: m`)
      expect(Cause.pretty(Cause.fail(error))).toContain(error._tag)
    }
  })

  it.effect("can be yielded, and caught by its tag", () =>
    Effect.gen(function* () {
      const caught = yield* Effect.gen(function* () {
        return yield* samples.CircuitOpen
      }).pipe(Effect.catchTag("CircuitOpen", (error) => Effect.succeed(error.retryAfter)))
      expect(Equal.equals(caught, second)).toBe(true)
    })
  )

  it("is matched exhaustively on its tag and on its code", () => {
    const byTag = Match.type<FoundationError>().pipe(
      Match.tagsExhaustive({
        ConfigError: () => "config_error",
        EventError: () => "event_error",
        VersionConflict: () => "version_conflict",
        AlreadyRegistered: () => "already_registered",
        ServiceNotFound: () => "not_found",
        RegistryError: () => "registry_error",
        CircuitOpen: () => "circuit_open",
        OperationTimeout: () => "timeout",
        RateLimited: () => "rate_limited",
        StoreUnavailable: () => "store_unavailable"
      })
    )
    const byCode = Match.type<FoundationError>().pipe(
      Match.discriminatorsExhaustive("code")({
        config_error: (error) => error._tag,
        event_error: (error) => error._tag,
        version_conflict: (error) => error._tag,
        already_registered: (error) => error._tag,
        not_found: (error) => error._tag,
        registry_error: (error) => error._tag,
        circuit_open: (error) => error._tag,
        timeout: (error) => error._tag,
        rate_limited: (error) => error._tag,
        store_unavailable: (error) => error._tag
      })
    )
    for (const error of Object.values(samples)) {
      expect(byTag(error)).toBe(error.code)
      expect(byCode(error)).toBe(error._tag)
    }
    expectTypeOf(byCode).returns.toEqualTypeOf<FoundationError["_tag"]>()
  })
})
