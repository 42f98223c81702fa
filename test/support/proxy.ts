import { connect, createServer, type Server, type Socket } from "node:net"
import { Effect, Redacted } from "effect"
import { freePort } from "../../examples/servers/freePort.js"

/** A network between a client and a server on this machine, that can fail. */
export interface Proxy {
  readonly port: number
  /** The same URL, through the proxy. */
  readonly through: (url: Redacted.Redacted<string>) => Redacted.Redacted<string>
  /** How many connections are open. */
  readonly connections: Effect.Effect<number>
  /** Resets every connection. New ones pass. */
  readonly cut: Effect.Effect<void>
  /** Passes nothing from now on, the end of a connection included: it stays open, as where a cable was pulled. */
  readonly blackhole: Effect.Effect<void>
  /** Resets every connection and refuses new ones. */
  readonly refuse: Effect.Effect<void>
  /** Ends `blackhole`, with what was held back passed on, and `refuse`. */
  readonly heal: Effect.Effect<void>
}

/** One connection: from the client, and to the server as soon as something may pass. */
class Link {
  #server: Socket | undefined
  constructor(
    readonly client: Socket,
    readonly target: number
  ) {
    client.on("error", () => this.reset())
    client.on("close", () => this.#server?.destroySoon())
  }

  get #sockets() {
    return this.#server === undefined ? [this.client] : [this.client, this.#server]
  }

  flow(): void {
    if (this.#server === undefined) {
      this.#server = connect({ host: "127.0.0.1", port: this.target, noDelay: true, allowHalfOpen: true })
      this.#server.on("error", () => this.reset())
      this.#server.on("close", () => this.client.destroySoon())
    }
    this.client.pipe(this.#server).pipe(this.client)
  }

  halt(): void {
    for (const socket of this.#sockets) socket.unpipe().pause()
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }
}

/** Stands in front of a port of this machine until the scope closes. */
export const makeProxy = (target: number) =>
  Effect.gen(function* () {
    const links = new Set<Link>()
    let isFlowing = true
    let listening: Server | undefined

    const onConnection = (client: Socket) => {
      const link = new Link(client, target)
      links.add(link)
      client.once("close", () => links.delete(link))
      if (isFlowing) link.flow()
    }
    const listen = (port: number) =>
      Effect.async<void>((resume) => {
        if (listening !== undefined) return resume(Effect.void)
        listening = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, onConnection)
        listening.once("error", (error) => resume(Effect.die(error)))
        listening.listen(port, "127.0.0.1", () => resume(Effect.void))
      })
    const resetAll = () => {
      for (const link of links) link.reset()
      links.clear()
    }
    const refuse = Effect.async<void>((resume) => {
      isFlowing = true
      resetAll()
      if (listening === undefined) return resume(Effect.void)
      listening.close(() => resume(Effect.void))
      listening = undefined
    })

    const port = yield* freePort
    yield* Effect.acquireRelease(listen(port), () => refuse)
    const proxy: Proxy = {
      port,
      through: (url) => {
        const other = new URL(Redacted.value(url))
        other.port = String(port)
        return Redacted.make(other.href)
      },
      connections: Effect.sync(() => links.size),
      cut: Effect.sync(resetAll),
      refuse,
      blackhole: Effect.sync(() => {
        isFlowing = false
        for (const link of links) link.halt()
      }),
      heal: Effect.zipRight(
        listen(port),
        Effect.sync(() => {
          if (isFlowing) return
          isFlowing = true
          for (const link of links) link.flow()
        })
      )
    }
    return proxy
  })
