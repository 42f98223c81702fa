/**
 * Compiles and runs every program in the documentation: the `ts` snippets of README.md and each `@example` in src.
 *
 *     npm run docs:check
 *
 * A snippet of README.md after the comment `<!-- docs-check: types only -->` is compiled and not run.
 */
import { resolve } from "node:path"
import { parseArgs } from "node:util"
import type { Snippet } from "./docs-check/snippets.js"
import { type Failure, snippetsOf, withWorkspace } from "./docs-check/workspace.js"

const atOnce = 2

const { values } = parseArgs({
  options: {
    root: { type: "string", default: resolve(import.meta.dirname, "..") },
    limit: { type: "string", default: "30" }
  }
})

const check = async (root: string, limitMs: number): Promise<void> => {
  const snippets = await snippetsOf(root)
  const inReadme = snippets.filter(({ file }) => file === "README.md").length
  const inSource = snippets.length - inReadme
  console.log(`docs:check: ${inReadme} snippets in README.md, ${inSource} examples in src`)
  if (inReadme === 0 || inSource === 0) throw new Error("There is nothing to check: have the documents moved?")

  const toRun = snippets.filter(({ run }) => run)
  const failures = await withWorkspace(root, async (workspace) => {
    const notCompiled = [...(await workspace.build()), ...(await workspace.compile(snippets))]
    const broken = new Set(notCompiled.map(({ snippet }) => snippet))
    const compiled = toRun.filter((snippet) => !broken.has(snippet))
    return [...notCompiled, ...(await runAll(compiled, (snippet) => workspace.run(snippet, limitMs)))]
  })

  for (const { at, reason } of failures) console.error(`\n${at}: ${reason.replaceAll("\n", "\n  ")}`)
  if (failures.length > 0) throw new Error(`docs:check: ${failures.length} failures`)
  console.log(`docs:check: ${snippets.length} compiled, ${toRun.length} run, all well`)
}

const runAll = async (
  snippets: ReadonlyArray<Snippet>,
  run: (snippet: Snippet) => Promise<Failure | undefined>
): Promise<ReadonlyArray<Failure>> => {
  const failures: Array<Failure> = []
  const waiting = snippets.values()
  const work = async () => {
    for (const snippet of waiting) {
      const failure = await run(snippet)
      if (failure !== undefined) failures.push(failure)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return failures
}

try {
  await check(resolve(values.root), Number(values.limit) * 1000)
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
}
