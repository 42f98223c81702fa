import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { NodeRuntime } from "@effect/platform-node"
import { Effect } from "effect"
import { SharedRegistry } from "./Registry.js"
import { standInLine } from "./StandInLine.js"

/** A process of its own, which main.ts starts and kills: it answers with its name, and would be the printer. */
const name = process.argv[2] ?? "?"

const listening = Effect.acquireRelease(
  Effect.async<{ readonly address: URL; readonly close: () => void }>((resume) => {
    const server = createServer((_, response) => response.end(name))
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ address: new URL(`http://127.0.0.1:${port}`), close: () => server.close() }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

Effect.flatMap(listening, ({ address }) => standInLine("printer", address)).pipe(
  Effect.scoped,
  Effect.provide(SharedRegistry),
  NodeRuntime.runMain
)
