import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { execute } from "../execute.js"
import { examplesOfSource, type Snippet, snippetsOfMarkdown } from "./snippets.js"

/** A failure of the documentation, at a line of the document that its reader sees. */
export interface Failure {
  readonly at: string
  readonly reason: string
  /** Absent where the fault is that of the package. */
  readonly snippet?: Snippet
}

/** All the programs in README.md and in the doc comments of src. */
export const snippetsOf = async (root: string): Promise<ReadonlyArray<Snippet>> => {
  const readme = snippetsOfMarkdown("README.md", await readFile(join(root, "README.md"), "utf8"))
  const sources = (await readdir(join(root, "src"), { recursive: true })).filter((path) => path.endsWith(".ts")).sort()
  const examples = await Promise.all(
    sources.map(async (path) => examplesOfSource(`src/${path}`, await readFile(join(root, "src", path), "utf8")))
  )
  return [...readme, ...examples.flat()]
}

/**
 * A directory in which the snippets are files and `effect-foundation` is the built package, with the exports of its
 * package.json: a snippet sees what a user sees. Each snippet stands at its own lines (`README.md.42.ts` starts with 41
 * empty ones), so that whatever a compiler or a stack trace says of it needs no translation but that of the name.
 */
export const withWorkspace = async <A>(root: string, use: (workspace: Workspace) => Promise<A>): Promise<A> => {
  const directory = await mkdtemp(join(root, ".docs-check-"))
  try {
    return await use(new Workspace(root, directory))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export class Workspace {
  constructor(
    readonly root: string,
    readonly directory: string
  ) {}

  /** Builds the package. With type errors it is built all the same, as far as it goes. */
  async build(): Promise<ReadonlyArray<Failure>> {
    await copyFile(join(this.root, "package.json"), join(this.directory, "package.json"))
    const project = join(this.root, "tsconfig.build.json")
    const built = await execute(tsc, ["--project", project, "--outDir", join(this.directory, "dist")], {
      cwd: this.root
    })
    return built.code === 0 ? [] : [{ at: "src", reason: `does not compile\n${built.output}` }]
  }

  /** Compiles all the snippets in one run of the compiler, to JavaScript beside them. */
  async compile(snippets: ReadonlyArray<Snippet>): Promise<ReadonlyArray<Failure>> {
    const options = {
      extends: join(this.root, "tsconfig.json"),
      compilerOptions: {
        noEmit: false,
        rootDir: ".",
        sourceMap: true,
        paths: {},
        noUnusedLocals: false,
        noUnusedParameters: false
      },
      include: ["**/*.ts"],
      exclude: ["dist"]
    }
    await writeFile(join(this.directory, "tsconfig.json"), JSON.stringify(options))
    for (const snippet of snippets) {
      const file = join(this.directory, nameOf(snippet))
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, `${"\n".repeat(snippet.line - 1)}${snippet.code}\n`)
    }
    const { code, output } = await execute(tsc, ["--project", this.directory, "--pretty", "false"], {
      cwd: this.directory
    })
    if (code === 0) return []
    return output.split(/\n(?=\S)/).map((message) => {
      const [, file, line, reason] = /^([^(\n]+\.ts)\((\d+),\d+\): (.*)/s.exec(message) ?? []
      const snippet = snippets.find((snippet) => nameOf(snippet) === file)
      if (snippet === undefined || reason === undefined) return { at: "the compiler", reason: message }
      return { at: `${snippet.file}:${line}`, reason, snippet }
    })
  }

  /** Runs a compiled snippet in a process and an empty directory of its own. */
  async run(snippet: Snippet, limitMs: number): Promise<Failure | undefined> {
    const name = nameOf(snippet)
    const compiled = join(this.directory, name.replace(/ts$/, "js"))
    const cwd = await mkdtemp(join(this.directory, "cwd-"))
    const { code, output } = await execute(process.execPath, ["--enable-source-maps", compiled], { cwd, limitMs })
    if (code === 0) return undefined
    const text = output.replaceAll("file://", "").replaceAll(`${this.directory}/`, "")
    const thrownAt = text.split(`${name}:`)[1]?.match(/^\d+/)?.[0] ?? snippet.line
    const what = code === "limit" ? `does not end within ${limitMs / 1000} s` : `exits with ${code}`
    return { at: `${snippet.file}:${thrownAt}`, reason: `${what}\n${text.replaceAll(name, snippet.file)}`, snippet }
  }
}

/** The path of the snippet's file in the workspace. */
const nameOf = ({ file, line }: Snippet): string => `${file}.${line}.ts`

const tsc = join(import.meta.dirname, "../../node_modules/.bin/tsc")
