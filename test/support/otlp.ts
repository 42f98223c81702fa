import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { createRequire } from "node:module"
import type { AddressInfo, Socket } from "node:net"
import { Effect, Mailbox } from "effect"

/**
 * OpenTelemetry's published definitions of its protocol, as its own exporters had them built in until they wrote encoders
 * by hand: the last version of `@opentelemetry/otlp-transformer` that has them is a dependency under this name.
 */
const { opentelemetry } = createRequire(import.meta.url)("otlp-definitions/build/src/generated/root.js") as {
  readonly opentelemetry: {
    readonly proto: { readonly collector: Record<string, { readonly v1: Record<string, Message> }> }
  }
}

interface Message {
  readonly decode: (bytes: Uint8Array) => object
  readonly toObject: (message: object, options: object) => Decoded
  readonly fromObject: (object: object) => object
  readonly verify: (object: object) => string | null
}

// What was decoded is looked at by the tests, each at its own part.
// biome-ignore lint/suspicious/noExplicitAny: a message of any type
export type Decoded = any

export type Path = "/v1/traces" | "/v1/metrics" | "/v1/logs"

const messages: Readonly<Record<string, Message | undefined>> = {
  "/v1/traces": opentelemetry.proto.collector.trace?.v1.ExportTraceServiceRequest,
  "/v1/metrics": opentelemetry.proto.collector.metrics?.v1.ExportMetricsServiceRequest,
  "/v1/logs": opentelemetry.proto.collector.logs?.v1.ExportLogsServiceRequest
}

const shown = { longs: String, bytes: Buffer, defaults: false, arrays: true }

/** Decodes by the definitions, strictly: what is left over, or not as they say, throws. */
export const decode = (path: string, contentType: string | undefined, body: Buffer): Decoded => {
  const message = messages[path]
  if (message === undefined) throw new Error(`nobody receives ${path}`)
  if (contentType === "application/x-protobuf") return message.toObject(message.decode(body), shown)
  if (contentType !== "application/json") throw new Error(`of which type is ${contentType}?`)
  const object = JSON.parse(body.toString())
  const problem = message.verify(numbers(object))
  if (problem !== null) throw new Error(problem)
  return object
}

/** Of Protobuf's JSON, what `verify` does not know: 64 bits as text, ids in hexadecimal. */
const numbers = (value: Decoded, key = ""): Decoded => {
  if (Array.isArray(value)) return value.map((one) => numbers(one, key))
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, numbers(one, key)]))
  }
  if (/(TraceId|SpanId|traceId|spanId)$/.test(key)) return Buffer.from(String(value), "hex")
  if (
    /^(timeUnixNano|startTimeUnixNano|endTimeUnixNano|observedTimeUnixNano|count|bucketCounts|intValue|asInt)$/.test(
      key
    )
  ) {
    if (!/^-?\d+$/.test(String(value))) throw new Error(`${key} is ${value}`)
    return Number(value)
  }
  return /^(doubleValue|asDouble|sum|min|max)$/.test(key) && typeof value === "string" ? Number(value) : value
}

export interface Received {
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  readonly body: Decoded
}

export interface Receiver {
  readonly port: number
  /** What has come, one after the other; decoding it fails the test. */
  readonly next: Effect.Effect<Received>
  /** The next that has come to this path; others are passed over. */
  readonly nextOf: (path: Path) => Effect.Effect<Decoded>
  /** How it answers from now on. */
  readonly answer: (how: (response: ServerResponse, request: IncomingMessage, body: Decoded) => void) => void
  /** How many requests have come, and how many of them are open, and the most that ever were. */
  readonly requests: () => { readonly all: number; readonly open: number; readonly mostOpen: number }
  /** Ends with nobody on the port, and every connection reset. */
  readonly die: Effect.Effect<void>
}

export const taken = (response: ServerResponse): void => void response.end()

/** A receiver on loopback, until the scope closes. */
export const startReceiver = (port = 0) =>
  Effect.gen(function* () {
    const received = yield* Mailbox.make<Received>()
    const sockets = new Set<Socket>()
    let how: (response: ServerResponse, request: IncomingMessage, body: Decoded) => void = taken
    let [all, open, mostOpen] = [0, 0, 0]
    const onRequest = (request: IncomingMessage, response: ServerResponse) => {
      all++
      open++
      mostOpen = Math.max(mostOpen, open)
      response.on("close", () => open--)
      const chunks: Array<Buffer> = []
      request.on("error", () => {})
      request.on("data", (chunk: Buffer) => void chunks.push(chunk))
      request.on("end", () => {
        const path = request.url ?? ""
        try {
          const body = decode(path, request.headers["content-type"], Buffer.concat(chunks))
          received.unsafeOffer({ path, headers: request.headers, body })
          how(response, request, body)
        } catch (error) {
          received.unsafeDone({ _tag: "Failure", cause: { _tag: "Die", defect: error } } as never)
          response.writeHead(400).end(String(error))
        }
      })
    }
    const die = (server: Server) =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.resetAndDestroy()
        server.close(() => resume(Effect.void))
      })
    const server = yield* Effect.acquireRelease(
      Effect.async<Server>((resume) => {
        const server = createServer(onRequest)
        server.on("connection", (socket) => {
          sockets.add(socket)
          socket.on("close", () => sockets.delete(socket))
        })
        server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      die
    )
    const next = Effect.orDie(received.take)
    const nextOf = (path: Path): Effect.Effect<Decoded> =>
      Effect.flatMap(next, (one) => (one.path === path ? Effect.succeed(one.body) : nextOf(path)))
    const self: Receiver = {
      port: (server.address() as AddressInfo).port,
      next,
      nextOf,
      answer: (given) => {
        how = given
      },
      requests: () => ({ all, open, mostOpen }),
      die: die(server)
    }
    return self
  })

/** Attributes as a record, each with the one value that it has. */
export const attributes = (of: { readonly attributes?: ReadonlyArray<Decoded> }): Record<string, unknown> =>
  Object.fromEntries((of.attributes ?? []).map(({ key, value }) => [key, valueOf(value)]))

export const valueOf = (value: Decoded): unknown => {
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(valueOf)
  const [first] = Object.values(value)
  return first
}

export const spansOf = (request: Decoded): ReadonlyArray<Decoded> =>
  request.resourceSpans.flatMap(({ scopeSpans }: Decoded) => scopeSpans.flatMap(({ spans }: Decoded) => spans))
export const logsOf = (request: Decoded): ReadonlyArray<Decoded> =>
  request.resourceLogs.flatMap(({ scopeLogs }: Decoded) => scopeLogs.flatMap(({ logRecords }: Decoded) => logRecords))
export const metricsOf = (request: Decoded): ReadonlyArray<Decoded> =>
  request.resourceMetrics.flatMap(({ scopeMetrics }: Decoded) =>
    scopeMetrics.flatMap(({ metrics }: Decoded) => metrics)
  )

export const hex = (bytes: unknown): string =>
  typeof bytes === "string" ? bytes : Buffer.from(bytes as Buffer).toString("hex")
