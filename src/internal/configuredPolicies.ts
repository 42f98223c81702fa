import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Key } from "../Config/Key.js"
import { Problem } from "../Config/Problem.js"
import type { Snapshot } from "../Config/Snapshot.js"
import { Config } from "../Config.js"
import { Telemetry } from "../Telemetry.js"
import type { NamedPolicies } from "./namedPolicies.js"

/**
 * The policies that the configuration states under `<section>.<name>`, live. A policy that cannot be read (or has a field
 * that the schema does not know), and one that is no longer there, is reported once, by telemetry and in the log, as soon
 * as the configuration has it so; the last good one stays in force. Holds as many policies as the configuration has
 * stated names. A name with a dot in it cannot be stated.
 */
export const configuredPolicies = <P, I>(
  section: string,
  schema: Schema.Schema<P, I>
): Effect.Effect<NamedPolicies<P>, never, Config | Telemetry | Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* Config
    const telemetry = yield* Telemetry
    const policies = new Policies(section, schema)

    const report = (problems: ReadonlyArray<Rejected>) =>
      Effect.forEach(problems, ({ name, reason }) => {
        telemetry.emit("config.policy.rejected", { count: 1 }, { component: section, name, reason })
        return Effect.logWarning(`The policy ${section}.${name} is not used, ${reason}`)
      })
    const refresh = Effect.suspend(() => {
      policies.read(config.unsafeSnapshot())
      return report(policies.takeRejected())
    })

    yield* refresh
    // A call may read a new snapshot before this fiber hears of it; what was wrong then waits here to be reported.
    yield* Effect.forkScoped(Stream.runForEach(config.changes, () => refresh))

    return {
      revision: config.unsafeSnapshot,
      get: (name) => policies.read(config.unsafeSnapshot()).get(name)
    }
  })

interface Rejected {
  readonly name: string
  readonly reason: string
}

/** What is in force, by name, and what was wrong with the rest. */
class Policies<P, I> {
  private readonly schema: Schema.Schema<P, I>
  private readonly good = new Map<string, P>()
  /** The last reason by name, so that each is reported once. */
  private readonly bad = new Map<string, string>()
  private rejected: Array<Rejected> = []
  private snapshot: Snapshot | undefined

  constructor(
    private readonly section: string,
    schema: Schema.Schema<P, I>
  ) {
    this.schema = schema.annotations({ parseOptions: { onExcessProperty: "error" } })
  }

  read(snapshot: Snapshot): ReadonlyMap<string, P> {
    if (this.snapshot === snapshot) return this.good
    this.snapshot = snapshot
    const stated = snapshot.get(this.section)
    const names = new Set(typeof stated === "object" && stated !== null ? Object.keys(stated) : [])
    for (const name of names) this.readOne(name, snapshot)
    for (const name of [...this.good.keys(), ...this.bad.keys()]) {
      if (!names.has(name)) this.missing(name)
    }
    return this.good
  }

  takeRejected(): ReadonlyArray<Rejected> {
    const rejected = this.rejected
    this.rejected = []
    return rejected
  }

  private readOne(name: string, snapshot: Snapshot): void {
    const decoded = Key.make(`${this.section}.${name}`, this.schema).in(snapshot)
    if (decoded instanceof Problem) {
      this.reject(name, `since it cannot be read: ${decoded.message}`)
    } else {
      this.bad.delete(name)
      this.good.set(name, decoded.value)
    }
  }

  private missing(name: string): void {
    // One that never was good is gone as if it had not been.
    if (this.good.has(name))
      this.reject(name, "since the configuration no longer states it; the last one stays in force")
    else this.bad.delete(name)
  }

  private reject(name: string, reason: string): void {
    if (this.bad.get(name) === reason) return
    this.bad.set(name, reason)
    this.rejected.push({ name, reason })
  }
}
