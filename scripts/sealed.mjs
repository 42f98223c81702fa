/**
 * `node --import sealed.mjs`: modules outside of the working directory are not found. Node looks for packages in every
 * directory above, so that a stray node_modules in the temporary directory would pass for an installed peer.
 */
import { register } from "node:module"
import { pathToFileURL } from "node:url"
import { isMainThread } from "node:worker_threads"

// Node runs the hooks below in a thread of their own, which loads this file too.
if (isMainThread) register(import.meta.url, { data: pathToFileURL(`${process.cwd()}/`).href })

let inside = ""

export const initialize = (directory) => {
  inside = directory
}

export const resolve = async (specifier, context, next) => {
  const resolved = await next(specifier, context)
  if (resolved.url.startsWith("file:") && !resolved.url.startsWith(inside)) {
    throw Object.assign(new Error(`Cannot find package '${specifier}'`), { code: "ERR_MODULE_NOT_FOUND" })
  }
  return resolved
}
