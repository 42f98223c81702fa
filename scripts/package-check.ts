/**
 * Checks the package as it would be published: the packed tarball, alone and in the hands of a fresh project.
 *
 *     npm run package:check
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { mustExecute } from "./execute.js"
import { manifestOf, optionalPeersOf, pack, project, sealed, subpathsOf, withDirectoryOutside } from "./packed.js"

const expected = '[{"type":"order_placed","data":{"port":8080}}] circuit_open'

const step = async (name: string, run: () => Promise<unknown>): Promise<void> => {
  const start = performance.now()
  await run()
  console.log(`✓ ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
}

const equal = (actual: string, wanted: string): void => {
  if (actual !== wanted) throw new Error(`Expected:\n${wanted}\nGot:\n${actual}`)
}

const check = async (directory: string): Promise<void> => {
  const manifest = manifestOf(project)
  const optional = optionalPeersOf(manifest)
  const consumer = join(directory, "consumer")
  const modules = join(consumer, "node_modules")
  const installed = join(modules, manifest.name)
  const inProject = (command: string, ...args: ReadonlyArray<string>) =>
    mustExecute(join(project, "node_modules/.bin", command), args, { cwd: project })
  const inConsumer = (command: string, ...args: ReadonlyArray<string>) => mustExecute(command, args, { cwd: consumer })
  const node = (...args: ReadonlyArray<string>) => inConsumer(process.execPath, ...sealed, ...args)
  const evaluate = (program: string) => node("--input-type=module", "--eval", program)

  let tarball = ""
  await step("packs", async () => {
    tarball = await pack(directory)
  })

  await step("publint finds nothing", () => inProject("publint", "run", tarball, "--strict"))

  const readme = readFileSync(join(project, "README.md"), "utf8")
  const [, peers] = /^npm install effect-foundation([^#\n]*)/m.exec(readme) ?? []
  await step(`installs in a fresh project as README.md says: npm install${peers}`, async () => {
    if (peers === undefined) throw new Error("README.md has no line that starts with npm install effect-foundation")
    mkdirSync(consumer)
    copyFileSync(join(project, "test/package/consumer/main.ts"), join(consumer, "main.ts"))
    const { typescript, "@types/node": nodeTypes } = manifest.devDependencies ?? {}
    const fresh = { private: true, type: "module", devDependencies: { typescript, "@types/node": nodeTypes } }
    writeFileSync(join(consumer, "package.json"), JSON.stringify(fresh))
    const flags = ["--strict-peer-deps", "--prefer-offline", "--no-audit", "--no-fund"]
    return inConsumer("npm", "install", ...flags, tarball, ...peers.split(" ").filter((name) => name !== ""))
  })

  const subpaths = subpathsOf(installed)
  await step(`are-the-types-wrong finds nothing in its ${subpaths.length + 1} entries`, () =>
    inProject("attw", tarball, "--profile", "esm-only", "--entrypoints", ".", ...subpaths)
  )

  for (const [module, moduleResolution] of [
    ["NodeNext", "NodeNext"],
    ["ESNext", "Bundler"]
  ]) {
    await step(`compiles there, declarations included, under ${moduleResolution}`, () => {
      const compilerOptions = {
        target: "ES2022",
        module,
        moduleResolution,
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        types: ["node"]
      }
      writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["main.ts"] }))
      return inConsumer(join(modules, ".bin/tsc"))
    })
  }

  await step("runs there", async () => equal(await node("main.js"), `${expected}\n${expected}`))

  await step("opens each entry but those whose optional peer is absent", async () => {
    const program = `
      const optional = ${JSON.stringify(optional)}
      const failed = []
      for (const path of ${JSON.stringify(subpaths)}) {
        await import("${manifest.name}/" + path).catch(({ code, message }) => {
          const absent = code === "ERR_MODULE_NOT_FOUND" && optional.some((peer) => message.includes("'" + peer))
          if (!absent) failed.push(path + ": " + message)
        })
      }
      console.log(failed.join("\\n"))`
    equal(await evaluate(program), "")
  })

  await step("keeps its internals to itself", async () => {
    const program = `await import("${manifest.name}/internal/jsonSafe").catch(({ code }) => console.log(code))`
    equal(await evaluate(program), "ERR_PACKAGE_PATH_NOT_EXPORTED")
  })

  await step("runs with every optional peer deleted", async () => {
    // @effect/sql is here although nobody asked for it: @effect/platform-node has it as a peer of its own.
    for (const peer of optional) rmSync(join(modules, peer), { recursive: true, force: true })
    const left = optional.filter((peer) => existsSync(join(modules, peer)))
    equal(left.join(), "")
    equal(await node("main.js"), `${expected}\n${expected}`)
  })
}

try {
  await withDirectoryOutside(check)
} catch (error) {
  console.error(`✗ ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
}
