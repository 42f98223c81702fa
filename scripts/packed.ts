import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { mustExecute } from "./execute.js"

export const project = resolve(import.meta.dirname, "..")

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

export const manifestOf = (directory: string): Manifest =>
  JSON.parse(readFileSync(join(directory, "package.json"), "utf8"))

export const optionalPeersOf = ({ peerDependenciesMeta = {} }: Manifest): ReadonlyArray<string> =>
  Object.keys(peerDependenciesMeta).filter((name) => peerDependenciesMeta[name]?.optional === true)

/** A new directory outside of the project: what is in it cannot find the project's node_modules. */
export const withDirectoryOutside = async <A>(use: (directory: string) => Promise<A>): Promise<A> => {
  const directory = mkdtempSync(join(tmpdir(), "effect-foundation-"))
  try {
    return await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The options with which `node` finds the packages under its working directory, and no others. */
export const sealed = ["--import", join(import.meta.dirname, "sealed.mjs")] as const

/**
 * The tarball that `npm pack` makes, in the given directory. It is made of a copy of the project, built there by the
 * project's own `prepack`, so the `dist` of the project is neither believed nor touched.
 */
export const pack = async (into: string): Promise<string> => {
  const copy = join(into, "project")
  cpSync(project, copy, { recursive: true, filter: (path) => !leftOut.test(path.slice(project.length)) })
  symlinkSync(join(project, "node_modules"), join(copy, "node_modules"), "junction")
  await mustExecute("npm", ["pack", "--silent", "--pack-destination", into], { cwd: copy })
  rmSync(copy, { recursive: true })
  const { name, version } = manifestOf(project)
  return join(into, `${name}-${version}.tgz`)
}

const leftOut = /^\/(\..*|dist|node_modules|coverage)$/

/**
 * The package of the tarball under `node_modules` of the directory, and links to what it requires, as an install would
 * leave it in which nobody asked for an optional peer. The links stand for the packages when `node` runs there with
 * `--preserve-symlinks`.
 */
export const installWithoutOptionalPeers = async (tarball: string, into: string): Promise<void> => {
  const modules = join(into, "node_modules")
  const installed = join(modules, "effect-foundation")
  mkdirSync(installed, { recursive: true })
  await mustExecute("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed], { cwd: into })

  const optional = optionalPeersOf(manifestOf(installed))
  const linkRequired = (manifest: Manifest): void => {
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      const source = join(project, "node_modules", name)
      const link = join(modules, name)
      if (optional.includes(name) || existsSync(link) || !existsSync(source)) continue
      mkdirSync(dirname(link), { recursive: true })
      symlinkSync(source, link, "junction")
      linkRequired(manifestOf(source))
    }
  }
  linkRequired(manifestOf(installed))
}

/** The subpaths that an extracted package exports as modules: `Config`, `Config/File` … */
export const subpathsOf = (installed: string): ReadonlyArray<string> =>
  readdirSync(join(installed, "dist"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".js") && path !== "index.js" && !path.startsWith("internal/"))
    .map((path) => path.slice(0, -".js".length))
    .sort()
