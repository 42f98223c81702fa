import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { promisify } from "node:util"
import { Effect } from "effect"
import type { Contender, Row } from "../Row.js"

const root = new URL("../../../", import.meta.url)
const entry = new URL("dist/index.js", root)

/** In a Node of its own, which has loaded nothing else. */
const importing = (name: string, specifier: string): Contender => ({
  name,
  takes: async () => {
    const program = `const t = performance.now(); await import(${JSON.stringify(specifier)}); console.log(performance.now() - t)`
    const arguments_ = ["--input-type=module", "--eval", program]
    const { stdout } = await promisify(execFile)(process.execPath, arguments_, { cwd: root, timeout: 30_000 })
    return Number(stdout) * 1000
  },
  gives: (took) => typeof took === "number" && took > 0
})

const row: Row = {
  work: "import of the root entry",
  about:
    "A fresh Node loads the module and all that it needs. The program around it has loaded most of the same modules of Effect.",
  rounds: 15,
  ours: importing("effect-foundation", entry.href),
  peers: [importing('import "effect"', "effect")]
}

export const rows = Effect.sync(() => (existsSync(entry) ? [row] : []))
