/** What a handler receives. Handlers share it: its parts are those that the emitter passed, and are not to be changed. */
export interface TelemetryEvent {
  readonly name: string
  readonly measurements: Readonly<Record<string, number>>
  readonly metadata: Readonly<Record<string, unknown>>
  /** The id in force where the event arose. */
  readonly correlationId: string
}

/**
 * Which events a handler receives: a name, a prefix that ends in `.*` (`"http.*"` takes `"http.request"` and
 * `"http.request.stop"`, not `"http"`), `"*"` for all, or a list of these.
 */
export type Selector = string | ReadonlyArray<string>

/** Whether the selector takes the event. */
export const selects = (selector: Selector, name: string): boolean =>
  typeof selector === "string" ? selectsOne(selector, name) : selector.some((one) => selectsOne(one, name))

const selectsOne = (selector: string, name: string): boolean =>
  selector.endsWith("*") ? name.startsWith(selector.slice(0, -1)) : selector === name

/** Why the selector would never match, or not what it seems to, with what to write in its place; or nothing. */
export const problemOfSelector = (selector: Selector): string | undefined => {
  if (typeof selector === "string") return problemOfOne(selector)
  if (!Array.isArray(selector)) return "it is a name, a prefix or a list of these"
  if (selector.length === 0) return 'the list is empty and would never match: write "*" for every event'
  for (const one of selector) {
    const problem = problemOfOne(one)
    if (problem !== undefined) return problem
  }
  return undefined
}

const problemOfOne = (selector: unknown): string | undefined => {
  if (typeof selector !== "string") return `${typeof selector} is not the name of an event`
  if (selector === "") return 'it is empty and would never match: write "*" for every event'
  const star = selector.indexOf("*")
  if (star === -1 || selector === "*" || (star > 1 && star === selector.length - 1 && selector.endsWith(".*"))) {
    return undefined
  }
  return `"${selector}" would never match: "*" stands alone or ends a prefix after a dot, as in "http.*"`
}

/** How many names the table remembers the handlers of; past it, it is made anew. Bounds a program that invents names. */
const rememberedNames = 4096

/**
 * The attached handlers, and for each event name those that take it, in order of attachment. All cost is in attaching
 * and detaching: to look a name up is one `Map.get`. The arrays are never changed, so that handlers can come and go in
 * the middle of an event.
 */
export class Handlers<Handler extends { readonly selector: Selector }> {
  private attached: ReadonlyArray<Handler> = []
  private readonly byName = new Map<string, ReadonlyArray<Handler>>()

  get all(): ReadonlyArray<Handler> {
    return this.attached
  }

  add(handler: Handler): void {
    this.replace([...this.attached, handler])
  }

  remove(handler: Handler): void {
    this.replace(this.attached.filter((other) => other !== handler))
  }

  of(name: string): ReadonlyArray<Handler> {
    return this.byName.get(name) ?? this.remember(name)
  }

  private replace(attached: ReadonlyArray<Handler>): void {
    this.attached = attached
    this.byName.clear()
  }

  private remember(name: string): ReadonlyArray<Handler> {
    // Code without types may pass anything for a name: no selector takes it.
    if (typeof name !== "string") return []
    if (this.byName.size >= rememberedNames) this.byName.clear()
    const handlers = this.attached.filter((handler) => selects(handler.selector, name))
    this.byName.set(name, handlers)
    return handlers
  }
}
