import { createServer } from "node:http"
import { connect } from "node:net"
import { type HttpApp, HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Context, Effect, Layer } from "effect"

/** Serves the app on a port of its own, for as long as the scope lives; answers the port. */
export const serving = <E, R>(app: HttpApp.Default<E, R>) => listening(HttpServer.serveEffect(app))

/** The same, of what serves. */
export const listening = <R>(serve: Effect.Effect<void, never, R>) =>
  Effect.gen(function* () {
    const node = NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 })
    const context = yield* Layer.build(node)
    yield* serve.pipe(Effect.provide(context))
    const { address } = Context.get(context, HttpServer.HttpServer)
    if (address._tag !== "TcpAddress") return yield* Effect.dieMessage("no port")
    return address.port
  })

export interface Answer {
  readonly status: number
  /** By lower-case name; those that come twice are joined by a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly raw: string
}

/** Sends a request byte for byte, and reads what comes until the server ends it. */
export const sent = (port: number, lines: ReadonlyArray<string>): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const socket = connect({ host: "127.0.0.1", port })
    let raw = ""
    socket.setEncoding("latin1")
    socket.on("data", (chunk) => {
      raw += chunk
    })
    socket.on("error", (error) => resume(Effect.die(error)))
    socket.on("close", () => resume(Effect.succeed(answerOf(raw))))
    socket.write([...lines, "Connection: close", "", ""].join("\r\n"), "latin1")
    return Effect.sync(() => socket.destroy())
  })

/** A GET with these headers, as they are. */
export const got = (port: number, path = "/", headers: ReadonlyArray<string> = []): Effect.Effect<Answer> =>
  sent(port, [`GET ${path} HTTP/1.1`, "Host: test", ...headers])

const answerOf = (raw: string): Answer => {
  const [head = "", ...bodies] = raw.split("\r\n\r\n")
  const [first = "", ...lines] = head.split("\r\n")
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(":")).toLowerCase()
    const value = line.slice(line.indexOf(":") + 1).trim()
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value
  }
  return { status: Number(first.split(" ")[1]), headers, body: bodyOf(bodies.join("\r\n\r\n"), headers), raw }
}

/** Without the lengths of its chunks. */
const bodyOf = (text: string, headers: Answer["headers"]): string =>
  headers["transfer-encoding"] === "chunked" ? text.replace(/[0-9a-f]+\r\n|\r\n/g, "") : text
