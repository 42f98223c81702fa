/** A piece of documentation that is a program: where it starts, and whether it is to be run. */
export interface Snippet {
  /** Path of the document, from the root of the project. */
  readonly file: string
  /** Line of the document, from 1, that holds the first line of the code. */
  readonly line: number
  readonly code: string
  readonly run: boolean
}

const typesOnly = "<!-- docs-check: types only -->"
const fence = /^\s*(`{3,}|~{3,})\s*(\w*)/

/** The `ts` and `typescript` fences of a Markdown document. */
export const snippetsOfMarkdown = (file: string, text: string): ReadonlyArray<Snippet> => {
  const lines = text.split("\n")
  const snippets: Array<Snippet> = []
  let before = ""
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ""
    const [, mark = "", language = ""] = fence.exec(line) ?? []
    if (mark !== "") {
      const start = at + 1
      const end = lines.findIndex((line, index) => index >= start && line.trim().startsWith(mark))
      const code = lines.slice(start, end === -1 ? undefined : end)
      if (language === "ts" || language === "typescript") {
        snippets.push({ file, line: start + 1, code: code.join("\n"), run: before !== typesOnly })
      }
      at = start + code.length
    }
    if (line.trim() !== "") before = line.trim()
  }
  return snippets
}

/** The `@example` of every doc comment: bare code up to the next tag or the end, or what its fence holds. */
export const examplesOfSource = (file: string, text: string): ReadonlyArray<Snippet> => {
  const snippets: Array<Snippet> = []
  let inComment = false
  let example: Array<string> | undefined
  let line = 0
  const close = () => {
    if (example !== undefined) snippets.push(unfenced({ file, line, code: example.join("\n"), run: true }))
    example = undefined
  }
  for (const [index, source] of text.split("\n").entries()) {
    if (source.trim().startsWith("/**")) inComment = true
    if (!inComment) continue
    const last = source.includes("*/")
    const content = source.replace(/^\s*(\/\*\*|\*(?!\/))? ?/, "").replace(/\s*\*\/.*$/, "")
    if (/^@\w+/.test(content)) close()
    else example?.push(content)
    if (/^@example\b/.test(content)) {
      example = []
      line = index + 2
    }
    if (last) {
      close()
      inComment = false
    }
  }
  return snippets
}

const unfenced = (example: Snippet): Snippet => {
  const lines = example.code.split("\n")
  const open = lines.findIndex((line) => fence.test(line))
  if (open === -1) return example
  const close = lines.findIndex((line, index) => index > open && fence.test(line))
  const code = lines.slice(open + 1, close === -1 ? undefined : close).join("\n")
  return { ...example, line: example.line + open + 1, code }
}
