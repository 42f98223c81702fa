import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { execute } from "../../scripts/execute.js"
import {
  installWithoutOptionalPeers,
  manifestOf,
  optionalPeersOf,
  pack,
  project,
  sealed
} from "../../scripts/packed.js"

describe("the packed package, where nobody installed an optional peer", { timeout: 60_000 }, () => {
  const consumer = mkdtempSync(join(tmpdir(), "effect-foundation-"))
  afterAll(() => rmSync(consumer, { recursive: true, force: true }))
  beforeAll(async () => installWithoutOptionalPeers(await pack(consumer), consumer), 120_000)

  const options = [...sealed, "--preserve-symlinks", "--input-type=module", "--eval"]
  const run = (program: string) => execute(process.execPath, [...options, program], { cwd: consumer })

  it.each(optionalPeersOf(manifestOf(project)))("has no %s to import", async (peer) => {
    const { code, output } = await run(`await import("${peer}")`)
    expect(output).toContain("ERR_MODULE_NOT_FOUND")
    expect(code).toBe(1)
  })

  it("is imported by its root entry, and runs", async () => {
    const { code, output } = await run(`
      import { Effect } from "effect"
      import { Events, FoundationLive } from "effect-foundation"

      const program = Events.store({ type: "order_placed", data: { orderId: 123 } }).pipe(
        Effect.zipRight(Events.get({ type: "order_placed" })),
        Effect.provide(FoundationLive)
      )
      console.log((await Effect.runPromise(program)).length, "event")
    `)
    expect(output).toContain("1 event")
    expect(code).toBe(0)
  })

  it("is imported by its subpaths", async () => {
    const { code, output } = await run(`
      import * as root from "effect-foundation"
      import { CircuitBreaker } from "effect-foundation/CircuitBreaker"
      import { FoundationTest } from "effect-foundation/Testing"

      console.log(CircuitBreaker === root.CircuitBreaker, typeof FoundationTest)
    `)
    expect(output).toBe("true object")
    expect(code).toBe(0)
  })

  it("keeps its internals to itself", async () => {
    const { code, output } = await run(`await import("effect-foundation/internal/jsonSafe")`)
    expect(output).toContain("ERR_PACKAGE_PATH_NOT_EXPORTED")
    expect(code).toBe(1)
  })
})
