import * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { RateLimited, StoreUnavailable } from "../FoundationError.js"
import { accessing } from "../internal/access.js"
import { retryAfterSeconds, wholeSeconds } from "../internal/seconds.js"
import { invalid, parsePolicy } from "../RateLimiter/Policy.js"
import { RateLimiter } from "../RateLimiter.js"
import { formatIp, truncate } from "./ClientAddress/Ip.js"
import { type Options as AddressOptions, readerOf } from "./ClientAddress.js"
import * as Problem from "./Problem.js"
import { type LimitItem, limitField, type PolicyItem, policyField } from "./RateLimit/Fields.js"
import { hashed, keyOf, partitionOf } from "./RateLimit/Key.js"

type Request = HttpServerRequest.HttpServerRequest

/**
 * Whom a request counts for. Requests without a key share one: to leave it out frees nobody. Of a long key (more than 256
 * characters) the hash counts.
 */
export type Key<E = unknown, R = unknown> = (
  request: Request
) => string | undefined | Effect.Effect<string | undefined, E, R>

/** A limit, as `RateLimiter.consume` takes it, and whom a request counts for. */
export interface Limit extends Omit<RateLimiter.Options, "key" | "cost"> {
  /** The address of the connection where not given: {@link byAddress}. */
  readonly key?: Key | undefined
  /** How many units a request takes: 1 where not given. */
  readonly cost?: number | ((request: Request) => number) | undefined
}

export interface Options {
  /**
   * Whether the fields say which quota they are about (`pk`): by a hash of the key. Not, where not given: a client that acts
   * for many users needs it.
   */
  readonly partitionKey?: boolean | undefined
  /** The body of a refusal, which gets status, `Retry-After` and the fields besides: a problem where not given. */
  readonly refuse?: ((error: RateLimited) => HttpServerResponse.HttpServerResponse) | undefined
  /** What problems say of a refusal, and of a limiter whose store does not answer (503). */
  readonly problem?: Problem.Options | undefined
}

type KeyResult<L> = L extends { readonly key: (request: Request) => infer Result } ? Result : never
/** What the keys of the limits fail with. */
export type Failure<L> =
  KeyResult<L> extends infer Result ? (Result extends Effect.Effect<infer _, infer E, infer _> ? E : never) : never
/** What the keys of the limits need. */
export type Needs<L> =
  KeyResult<L> extends infer Result ? (Result extends Effect.Effect<infer _, infer _, infer R> ? R : never) : never

/** What a middleware makes of an app. */
export type Middleware<E0, R0> = <E, R>(app: HttpApp.Default<E, R>) => HttpApp.Default<E | E0, R | R0>

/** The same, with the one form last that `HttpLayerRouter.middleware` infers the types of when it comes in an effect. */
export type LayerMiddleware<E0, R0> = Middleware<E0, R0> &
  ((app: HttpApp.Default<HttpLayerRouter.unhandled>) => HttpApp.Default<HttpLayerRouter.unhandled | E0, R0>)

export interface ByAddress extends AddressOptions {
  /**
   * How many bits of an IPv6 address count: 64 where not given, which is what one customer has at the least. With 128 every
   * client has 2^64 keys of its own.
   */
  readonly ipv6Prefix?: number | undefined
}

/**
 * The address of the client as a key. Behind proxies it needs their networks in `trustedProxies`, or all who come through
 * one share its limit; see `Http/ClientAddress` for what is believed. Throws a ConfigError, when it is made, if one is
 * neither a network nor an address.
 */
export const byAddress = (options: ByAddress = {}): ((request: Request) => string | undefined) => {
  const read = readerOf(options)
  const { ipv6Prefix = 64 } = options
  return (request) => {
    const ip = read(request)
    if (ip === undefined || ip.family === 4) return ip && formatIp(ip)
    return ipv6Prefix >= 128 ? formatIp(ip) : `${formatIp(truncate(ip, ipv6Prefix))}/${ipv6Prefix}`
  }
}

/**
 * The value of a header as a key; hashed, if the header is secret by its name (`authorization`, `x-api-key`) or the value is
 * long. Only for a header that has been verified before: who can choose the value has a new limit with each.
 */
export const byHeader = (name: string): ((request: Request) => string | undefined) => {
  const header = name.toLowerCase()
  return ({ headers }) => {
    const value = headers[header]
    return value === undefined || value === "" ? undefined : keyOf(header, value)
  }
}

/**
 * The first of the keys that there is, with where it comes from before it, so that no value of one is taken for another:
 * `firstOf({ user: byHeader("x-user-id"), address: byAddress() })`.
 */
export const firstOf =
  (
    keys: Readonly<Record<string, (request: Request) => string | undefined>>
  ): ((request: Request) => string | undefined) =>
  (request) => {
    for (const [name, key] of Object.entries(keys)) {
      const value = key(request)
      if (value !== undefined) return `${name}=${value}`
    }
    return undefined
  }

/**
 * Limits the requests that reach an app, by one limit or by several at once, of which a request takes from all or from none.
 *
 * - A request past a limit gets 429 with a problem as its body, and `Retry-After`: whole seconds, rounded up, so that a retry
 *   then is admitted if no other comes between. Where the limiter's store does not answer, it gets 503, if the limiter was
 *   told to fail then.
 * - All responses of the app, also those to failures, say with `RateLimit-Policy` and `RateLimit` how the limits stand
 *   (draft-ietf-httpapi-ratelimit-headers-11); a refusal says so of the limit that refused. Times are rounded up.
 * - `RateLimit` says with `t` for how long no more than what is left can be used: until the limit is whole again or, where
 *   nothing is left, until the next request is admitted.
 * - Who waits (`onExceeded: "wait"`) is answered when it is admitted.
 *
 * For `HttpRouter.use`, `HttpServer.serve` and `HttpApiBuilder.serve`; {@link make} for `HttpLayerRouter`. Throws a ConfigError, when it is made, if
 * an option of a limit is invalid.
 *
 * @example
 * import { HttpApp, HttpRouter, HttpServerResponse } from "@effect/platform"
 * import { FoundationLive } from "effect-foundation"
 * import * as RateLimit from "effect-foundation/Http/RateLimit"
 *
 * const limits = RateLimit.middleware([
 *   { name: "burst", maxRequests: 1, interval: "1 second", key: RateLimit.byAddress({ trustedProxies: ["10.0.0.0/8"] }) },
 *   { name: "daily", maxRequests: 1000, interval: "1 day", key: RateLimit.byHeader("x-api-key") }
 * ])
 * const router = HttpRouter.empty.pipe(HttpRouter.get("/", HttpServerResponse.text("hello")), HttpRouter.use(limits))
 *
 * const { dispose, handler } = HttpApp.toWebHandlerLayer(router, FoundationLive)
 * const get = () => handler(new Request("http://localhost/", { headers: { "x-api-key": "k-1" } }))
 * console.log((await get()).headers.get("ratelimit")) // "burst";r=0;t=1, "daily";r=999;t=86400
 * console.log((await get()).status) // 429
 * await dispose()
 */
export const middleware = <const L extends Limit>(
  limits: L | ReadonlyArray<L>,
  options: Options = {}
): Middleware<Failure<L>, Needs<L> | RateLimiter> => {
  const limiting = build(limits, options)
  return (app) => access((limiter) => limiting(limiter)(app))
}

/**
 * The middleware over the limiter that is there when it is made: for `HttpLayerRouter`, whose routes then need none.
 *
 * @example
 * import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
 * import { FoundationLive } from "effect-foundation"
 * import * as RateLimit from "effect-foundation/Http/RateLimit"
 * import { Layer } from "effect"
 *
 * const limits = HttpLayerRouter.middleware(RateLimit.make({ name: "api", maxRequests: 50, interval: "1 minute" })).layer
 * const routes = HttpLayerRouter.add("GET", "/", HttpServerResponse.text("hello"))
 *
 * const { dispose, handler } = HttpLayerRouter.toWebHandler(
 *   routes.pipe(Layer.provide(limits), Layer.provide(FoundationLive), Layer.orDie)
 * )
 * const response = await handler(new Request("http://localhost/"))
 * console.log(response.headers.get("ratelimit-policy")) // "api";q=50;w=60
 * await dispose()
 */
export const make = <const L extends Limit>(
  limits: L | ReadonlyArray<L>,
  options: Options = {}
): Effect.Effect<LayerMiddleware<Failure<L>, Needs<L>>, never, RateLimiter> =>
  Effect.map(RateLimiter, build(limits, options))

const access = accessing(() => RateLimiter)

const build = <L extends Limit>(limits: L | ReadonlyArray<L>, options: Options) => {
  const all: ReadonlyArray<Limit> = isMany(limits) ? limits : [limits]
  const makers = all.map(optionsOf)
  return (limiter: RateLimiter.Service): Middleware<Failure<L>, Needs<L>> =>
    <E, R>(app: HttpApp.Default<E, R>) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        Effect.flatMap(
          // What the keys fail with and need is what `Failure` and `Needs` say of them.
          Effect.forEach(makers, (maker) => maker(request) as Effect.Effect<RateLimiter.Options, Failure<L>, Needs<L>>),
          (taken) =>
            // Apps are run uninterruptibly, which is no reason to go on waiting for one whose client is gone.
            Effect.matchEffect(Effect.interruptible(limiter.consumeAll(taken)), {
              onFailure: (error) => Effect.succeed(refusal(error, options)),
              onSuccess: (admissions) => admitted(limiter, app, taken, admissions, options)
            })
        )
      )
}

const isMany = <L extends Limit>(limits: L | ReadonlyArray<L>): limits is ReadonlyArray<L> => Array.isArray(limits)

/** Throws, if an option is invalid that the limiter would find to be so in the middle of a request. */
const optionsOf = ({ cost = 1, key = byAddress(), ...policy }: Limit) => {
  Either.getOrThrowWith(parsePolicy(policy), invalid)
  return (request: Request): Effect.Effect<RateLimiter.Options, unknown, unknown> => {
    const units = typeof cost === "number" ? cost : cost(request)
    const found = key(request)
    const complete = (subject: string | undefined = ""): RateLimiter.Options => ({
      ...policy,
      key: subject.length > longestKey ? hashed(subject) : subject,
      cost: units
    })
    return Effect.isEffect(found) ? Effect.map(found, complete) : Effect.succeed(complete(found))
  }
}

/** What the limiter takes. */
const longestKey = 256

const admitted = <E, R>(
  limiter: RateLimiter.Service,
  app: HttpApp.Default<E, R>,
  taken: ReadonlyArray<RateLimiter.Options>,
  admissions: ReadonlyArray<RateLimiter.Admission>,
  options: Options
): HttpApp.Default<E, R> =>
  Effect.flatMap(
    Effect.forEach(admissions, (admission, index) => moreIn(limiter, taken[index], admission)),
    (resets) => {
      const policies: Array<PolicyItem> = []
      const standings: Array<LimitItem> = []
      for (const [index, { interval, limit, remaining }] of admissions.entries()) {
        const { key = "", name = "default" } = taken[index] ?? {}
        const partition = options.partitionKey === true ? partitionOf(key) : undefined
        // No response has two items of one policy: of one name with two keys, the one that is nearer to its end.
        const twin = standings.findIndex((item) => item.name === name)
        if (twin >= 0 && (standings[twin]?.remaining ?? 0) <= remaining) continue
        const at = twin < 0 ? standings.length : twin
        policies[at] = { name, quota: limit, window: wholeSeconds(interval), partition }
        standings[at] = { name, remaining, reset: resets[index] ?? 0, partition }
      }
      return Effect.zipRight(
        HttpApp.appendPreResponseHandler((_, response) => Effect.succeed(withFields(response, policies, standings))),
        app
      )
    }
  )

/** In how many seconds there will be more: it costs a second question only where nothing is left for another such request. */
const moreIn = (
  limiter: RateLimiter.Service,
  taken: RateLimiter.Options | undefined,
  { remaining, resetAfter }: RateLimiter.Admission
): Effect.Effect<number> => {
  if (taken === undefined || remaining >= (taken.cost ?? 1)) return Effect.succeed(wholeSeconds(resetAfter))
  return limiter.peek(taken).pipe(
    Effect.map(({ retryAfter }) => wholeSeconds(retryAfter)),
    Effect.catchAll(() => Effect.succeed(wholeSeconds(resetAfter)))
  )
}

const refusal = (error: RateLimited | StoreUnavailable, options: Options): HttpServerResponse.HttpServerResponse => {
  const { partitionKey, problem, refuse } = options
  if (error._tag === "StoreUnavailable") return Problem.response(error, problem)
  const { interval, key, limit, limiter: name, retryAfter } = error
  const partition = partitionKey === true ? partitionOf(key) : undefined
  const seconds = retryAfterSeconds(retryAfter)
  return (refuse?.(error) ?? Problem.response(error, problem)).pipe(
    HttpServerResponse.setStatus(Problem.status(error)),
    HttpServerResponse.setHeader("retry-after", String(seconds)),
    (response) =>
      withFields(
        response,
        [{ name, quota: limit, window: wholeSeconds(interval), partition }],
        [{ name, remaining: 0, reset: seconds, partition }]
      )
  )
}

/** Behind what another middleware has said of its limits. */
const withFields = (
  response: HttpServerResponse.HttpServerResponse,
  policies: ReadonlyArray<PolicyItem>,
  standings: ReadonlyArray<LimitItem>
): HttpServerResponse.HttpServerResponse => {
  const { headers } = response
  const joined = (name: string, field: string) => (headers[name] === undefined ? field : `${headers[name]}, ${field}`)
  return policies.length === 0
    ? response
    : HttpServerResponse.setHeaders(response, {
        "ratelimit-policy": joined("ratelimit-policy", policyField(policies)),
        ratelimit: joined("ratelimit", limitField(standings))
      })
}
