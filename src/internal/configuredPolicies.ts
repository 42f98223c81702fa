import * as Effect from "effect/Effect"
import type { ParseIssue } from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Key } from "../Config/Key.js"
import { Problem } from "../Config/Problem.js"
import type { Snapshot } from "../Config/Snapshot.js"
import { Config } from "../Config.js"
import { Telemetry } from "../Telemetry.js"
import { letters } from "./letters.js"
import type { NamedPolicies } from "./namedPolicies.js"

/**
 * The policies that the configuration states under `<section>.<name>`, live. A name finds the policy that is stated under
 * it; else the one whose name has the same letters (`user-service`, `user_service` and `UserService` find
 * `userService`), as variables of the environment cannot write more of a name than that.
 *
 * A policy that cannot be read (or has a field that the schema does not know), and one that is no longer there, is
 * reported once, by telemetry and in the log, as soon as the configuration has it so; the last good one stays in force.
 * What is reported is where and what was expected, not what is there. Holds as many policies as the configuration has
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
    // A call may read a new snapshot before this fiber hears of it; what was wrong then waits here to be reported. The watch
    // begins with what is there by then, so that no change falls between. Its only failure is that of an impossible path.
    yield* Stream.runForEach(config.watch(section), () => refresh).pipe(Effect.orDie, Effect.forkScoped)

    return {
      revision: config.unsafeSnapshot,
      get: (name) => policies.read(config.unsafeSnapshot()).of(name)
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
  private byLetters: ReadonlyMap<string, P> = new Map()
  /** The last reason by name, so that each is reported once. */
  private readonly bad = new Map<string, string>()
  private rejected: Array<Rejected> = []
  private snapshot: Snapshot | undefined

  constructor(
    private readonly section: string,
    schema: Schema.Schema<P, I>
  ) {
    this.schema = schema.annotations({
      parseOptions: { onExcessProperty: "error", errors: "all" },
      message: (issue) => ({ message: expectations(issue), override: true })
    })
  }

  of(name: string): P | undefined {
    return this.good.get(name) ?? this.byLetters.get(letters(name))
  }

  read(snapshot: Snapshot): this {
    if (this.snapshot === snapshot) return this
    this.snapshot = snapshot
    const stated = snapshot.get(this.section)
    const names = new Set(typeof stated === "object" && stated !== null ? Object.keys(stated) : [])
    for (const name of names) this.readOne(name, snapshot)
    for (const name of [...this.good.keys(), ...this.bad.keys()]) {
      if (!names.has(name)) this.missing(name)
    }
    this.byLetters = new Map(Array.from(this.good, ([name, policy]) => [letters(name), policy]))
    return this
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

/** At most so many of what is wrong with one policy is told. */
const toldIssues = 3

/** Where something is wrong and what was expected there. The words that Effect has for it quote the value. */
const expectations = (issue: ParseIssue): string => {
  const told = [...new Set(expected(issue, []))]
  const more = told.length > toldIssues ? [`and ${told.length - toldIssues} more`] : []
  return [...told.slice(0, toldIssues), ...more].join("; ")
}

const expected = (issue: ParseIssue, path: ReadonlyArray<PropertyKey>): ReadonlyArray<string> => {
  const at = path.length === 0 ? "" : `at ${path.map(String).join(".")}: `
  switch (issue._tag) {
    case "Pointer":
      return expected(issue.issue, [...path, ...[issue.path].flat()])
    case "Composite":
      return [issue.issues].flat().flatMap((inner) => expected(inner, path))
    case "Refinement":
    case "Transformation":
      return expected(issue.issue, path)
    case "Missing":
      return [`${at}${issue.message ?? "is missing"}`]
    case "Unexpected":
      return [`${at}is not one of its fields`]
    default:
      return [`${at}${issue.message ?? `expected ${String(issue.ast)}`}`]
  }
}
