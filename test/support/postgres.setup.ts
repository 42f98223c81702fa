import { createServer, type Socket } from "node:net"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** The port at which tests ask for the PostgreSQL that they share. */
    readonly postgresDesk: number
  }
}

/** What is answered there, as JSON: the URL of the server, or why there is none. */
export type Answer = { readonly url: string } | { readonly failure: string }

/**
 * One PostgreSQL for all tests of a run. The first that asks has it started: a run that needs none neither waits for
 * it nor loads what starts it.
 */
export default async function setup(project: TestProject) {
  let shared: Promise<{ readonly answer: Answer; readonly close: () => Promise<void> }> | undefined
  const open = async () => {
    const { Effect, Exit, Redacted, Scope } = await import("effect")
    const { startPostgres } = await import("../../examples/servers/Postgres.js")
    const scope = Effect.runSync(Scope.make())
    const answer = await startPostgres().pipe(
      Effect.match({
        onSuccess: (server): Answer => ({ url: Redacted.value(server.url) }),
        onFailure: (error): Answer => ({ failure: error.message })
      }),
      Scope.extend(scope),
      Effect.runPromise
    )
    return { answer, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }

  const desk = createServer((socket: Socket) => {
    socket.on("error", () => {})
    shared ??= open()
    shared.then(
      ({ answer }) => socket.end(JSON.stringify(answer)),
      (error) => socket.end(JSON.stringify({ failure: String(error) }))
    )
  })
  await new Promise<void>((resolve) => desk.listen(0, "127.0.0.1", resolve))
  const address = desk.address()
  if (typeof address !== "object" || address === null) throw new Error("The desk has no port")
  project.provide("postgresDesk", address.port)

  return async () => {
    desk.close()
    await (await shared)?.close()
  }
}
