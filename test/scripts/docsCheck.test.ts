import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { examplesOfSource, snippetsOfMarkdown } from "../../scripts/docs-check/snippets.js"

const project = resolve(import.meta.dirname, "../..")

describe("the snippets of a Markdown document", () => {
  it("are its ts and typescript fences, each with the line of its first line", () => {
    const text = ["# Title", "```ts", "a", "b", "```", "text", "~~~typescript", "c", "~~~"].join("\n")
    expect(snippetsOfMarkdown("README.md", text)).toEqual([
      { file: "README.md", line: 3, code: "a\nb", run: true },
      { file: "README.md", line: 8, code: "c", run: true }
    ])
  })

  it("leave out other languages, and what is shown inside of a longer fence", () => {
    const text = ["```sh", "npm ci", "```", "```yaml", "a: 1", "```", "````md", "```ts", "a", "```", "````"].join("\n")
    expect(snippetsOfMarkdown("README.md", text)).toEqual([])
  })

  it("are compiled only, after the comment that says so", () => {
    const text = ["<!-- docs-check: types only -->", "", "```ts", "a", "```", "", "```ts", "b", "```"].join("\n")
    expect(snippetsOfMarkdown("README.md", text).map(({ run }) => run)).toEqual([false, true])
  })
})

describe("the examples of a source file", () => {
  it("are what follows @example, without the stars, up to the next tag or the end of the comment", () => {
    const text = [
      "/**",
      " * Says it.",
      " *",
      " * @example",
      " * const a = {",
      " *   b: 1",
      " * }",
      " * @example of another",
      " * c()",
      " * @since 0.1.0",
      " */",
      "export class X {",
      "  /**",
      "   * @example",
      "   * d() */",
      '  readonly glob = "src/**/*.ts"',
      "}"
    ].join("\n")
    expect(examplesOfSource("src/X.ts", text)).toEqual([
      { file: "src/X.ts", line: 5, code: "const a = {\n  b: 1\n}", run: true },
      { file: "src/X.ts", line: 9, code: "c()", run: true },
      { file: "src/X.ts", line: 15, code: "d()", run: true }
    ])
  })

  it("may stand in a fence", () => {
    const text = ["/**", " * @example", " * Text.", " * ```ts", " * a()", " * ```", " * More text.", " */"].join("\n")
    expect(examplesOfSource("src/X.ts", text)).toEqual([{ file: "src/X.ts", line: 5, code: "a()", run: true }])
  })
})

describe("docs:check", { timeout: 60_000 }, () => {
  const directory = mkdtempSync(join(project, ".docs-check-test-"))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  const documented = (name: string, readme: ReadonlyArray<string>, source: ReadonlyArray<string>): string => {
    const root = join(directory, name)
    mkdirSync(join(root, "src"), { recursive: true })
    const manifest = { name: "greetings", type: "module", exports: { ".": "./dist/index.js" } }
    writeFileSync(join(root, "package.json"), JSON.stringify(manifest))
    writeFileSync(join(root, "tsconfig.json"), JSON.stringify({ extends: join(project, "tsconfig.json") }))
    const build = {
      extends: "./tsconfig.json",
      compilerOptions: { noEmit: false, declaration: true, rootDir: "src" },
      include: ["src"]
    }
    writeFileSync(join(root, "tsconfig.build.json"), JSON.stringify(build))
    writeFileSync(join(root, "README.md"), readme.join("\n"))
    writeFileSync(join(root, "src/index.ts"), source.join("\n"))
    return root
  }

  const check = (root: string): Promise<{ readonly code: number; readonly output: string }> =>
    new Promise((resolve) => {
      const args = ["--import", "tsx", join(project, "scripts/docs-check.ts"), "--root", root, "--limit", "5"]
      execFile(process.execPath, args, { cwd: project }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr })
      )
    })

  const source = [
    "/**",
    " * @example",
    ' * import { greet } from "greetings"',
    " *",
    ' * if (greet("you") !== "Hello, you") throw new Error("rude")',
    " */",
    'export const greet = (name: string): string => "Hello, ".concat(name)'
  ]

  it("passes where all compile and run, and says how many", async () => {
    const readme = ["```ts", 'import { greet } from "greetings"', 'const unused = greet("you")', "```"]
    const root = documented("good", readme, source)
    const { code, output } = await check(root)
    expect(output).toContain("2 compiled, 2 run, all well")
    expect(code).toBe(0)
    expect(readdirSync(root)).not.toContainEqual(expect.stringContaining(".docs-check"))
  })

  describe("fails, and names the line of the document,", () => {
    let failed: { readonly code: number; readonly output: string }
    beforeAll(async () => {
      const readme = [
        "```ts",
        'import { greet } from "greetings"',
        "greet(1)",
        "```",
        "```ts",
        "const fail = () => {",
        '  throw new Error("at run time")',
        "}",
        "fail()",
        "```",
        "<!-- docs-check: types only -->",
        "```ts",
        'throw new Error("never run")',
        "```",
        "```ts",
        "setInterval(() => {}, 1000)",
        "```",
        "```ts",
        'import "greetings/hidden"',
        "```"
      ]
      const broken = source.map((line) => line.replace("Hello, you", "Good day, you"))
      failed = await check(documented("broken", readme, broken))
    })

    it("where a snippet does not compile", () => {
      expect(failed.code).toBe(1)
      expect(failed.output).toMatch(/^README\.md:3: error TS2345: Argument of type 'number'/m)
    })

    it("where it throws", () => {
      expect(failed.output).toMatch(/^README\.md:7: exits with 1\n.*Error: at run time/ms)
    })

    it("where it does not end", () => {
      expect(failed.output).toMatch(/^README\.md:16: does not end within 5 s/m)
    })

    it("where it imports what the package does not export", () => {
      expect(failed.output).toMatch(/^README\.md:19: error TS/m)
    })

    it("where an @example throws", () => {
      expect(failed.output).toMatch(/^src\/index\.ts:5: exits with 1\n.*Error: rude/ms)
    })

    it("but not where a snippet is not to be run", () => {
      expect(failed.output).not.toContain("never run")
      expect(failed.output).toMatch(/docs:check: 5 failures\n$/)
    })
  })

  it("fails where there is nothing to check", async () => {
    const { code, output } = await check(documented("empty", ["# Nothing"], source))
    expect(output).toContain("0 snippets in README.md, 1 examples in src")
    expect(code).toBe(1)
  })
})
