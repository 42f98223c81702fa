import { createServer } from "node:net"
import { Effect, Random } from "effect"

/** Below the ports that systems give to outgoing connections, so that a server finds its own free after a restart. */
const lowest = 20_000
const highest = 32_000

const isFree = (port: number) =>
  Effect.async<boolean>((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resume(Effect.succeed(true))))
  })

/** A TCP port of 127.0.0.1 on which nobody listens. */
export const freePort = Random.nextIntBetween(lowest, highest).pipe(Effect.repeat({ until: isFree }))
