/** What a handler receives. */
export interface TelemetryEvent {
  readonly name: string
  readonly measurements: Readonly<Record<string, number>>
  readonly metadata: Readonly<Record<string, unknown>>
  /** The id in force where the event arose. */
  readonly correlationId: string
}

/** Which events a handler receives: a name, a prefix (`"http.*"`, or `"*"` for all), or a list of these. */
export type Selector = string | ReadonlyArray<string>

/** Whether the selector takes the event. */
export const selects = (selector: Selector, name: string): boolean =>
  typeof selector === "string" ? selectsOne(selector, name) : selector.some((one) => selectsOne(one, name))

const selectsOne = (selector: string, name: string): boolean =>
  selector.endsWith("*") ? name.startsWith(selector.slice(0, -1)) : selector === name

export interface Attached {
  readonly id: string
  readonly selector: Selector
  readonly handle: (event: TelemetryEvent) => void
}

/** How many names the table remembers the handlers of; past it, it is made anew. Bounds a program that invents names. */
const rememberedNames = 4096

/**
 * The attached handlers, and for each event name those that take it, in order of attachment. All cost is in attaching
 * and detaching: to look a name up is one `Map.get`. The arrays are never changed, so a handler that detaches another
 * (or itself) in the middle of an event changes the next event, not this one.
 */
export class Handlers {
  private attached: ReadonlyArray<Attached> = []
  private readonly byName = new Map<string, ReadonlyArray<Attached>>()

  get all(): ReadonlyArray<Attached> {
    return this.attached
  }

  add(handler: Attached): void {
    this.replace([...this.attached, handler])
  }

  remove(handler: Attached): void {
    this.replace(this.attached.filter((other) => other !== handler))
  }

  of(name: string): ReadonlyArray<Attached> {
    return this.byName.get(name) ?? this.remember(name)
  }

  private replace(attached: ReadonlyArray<Attached>): void {
    this.attached = attached
    this.byName.clear()
  }

  private remember(name: string): ReadonlyArray<Attached> {
    if (this.byName.size >= rememberedNames) this.byName.clear()
    const handlers = this.attached.filter((handler) => selects(handler.selector, name))
    this.byName.set(name, handlers)
    return handlers
  }
}
