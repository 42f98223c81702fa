import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { AlreadyRegistered, RegistryError } from "../../FoundationError.js"
import { deadline } from "../../internal/deadline.js"
import { jsonSafeRecord } from "../../internal/jsonSafe.js"
import { type SqlFailure, timedOut } from "../../internal/Sql/Failure.js"
import type { Claim, Grant, Granted, Lease } from "../Backend.js"
import * as Failures from "../Failures.js"
import { counts } from "../Registration.js"
import type { Replica } from "../Replica.js"
import { asking } from "./asking.js"
import type { Returns } from "./Returns.js"
import { Signal } from "./Signal.js"
import type { Asked, GrantedRow, Store } from "./Store.js"

/** How many claims or releases one statement takes at most. */
const batch = 256
/** How often a name that was free or expired a moment ago is asked for again in one go. */
const attempts = 5

export interface DeskOptions {
  readonly store: Store
  readonly replica: Replica
  readonly returns: Returns
  readonly node: string
  readonly deadline: Duration.DurationInput
  /** The lease under which claims are granted. */
  readonly lease: () => Lease
  /** What others see of a fiber that is registered here. */
  readonly advertise: URL | undefined
}

/** A claim that waits for its answer. */
interface Waiting {
  asked: Asked
  readonly claim: Claim
  answer: (answer: Effect.Effect<Grant, AlreadyRegistered | RegistryError>) => void
  /** Nobody waits any more: what is granted is given back. */
  isOver: boolean
  granted: Granted | undefined
}

type Answer =
  | { readonly is: "granted"; readonly row: GrantedRow }
  | { readonly is: "taken"; readonly holder: string }
  | { readonly is: "open" }

/**
 * Where this process asks the database for names and places. Claims that come while one statement is on its way go
 * together in the next, no name twice: within the process, the first is answered before the second is asked.
 */
export class Desk {
  private claims = 0
  private waiting: Array<Waiting> = []
  /** Claims that are with the database. */
  private readonly asking = new Set<number>()
  /** The names that this process holds, and all tokens that it does. */
  private readonly names = new Map<string, { readonly claim: Claim; readonly token: number; readonly lease: Lease }>()
  private readonly tokens = new Set<number>()
  private readonly came = new Signal()
  private readonly one = Effect.unsafeMakeSemaphore(1)

  constructor(private readonly options: DeskOptions) {}

  /** Asks for a name or a place. Nothing stays behind where the caller goes away or the deadline passes. */
  readonly ask = (claim: Claim): Effect.Effect<Grant, AlreadyRegistered | RegistryError> =>
    Effect.suspend(() => {
      const asked = this.asked(claim)
      if (asked === undefined) return Effect.fail(Failures.notAdvertised(claim.name))
      const waiting: Waiting = { asked, claim, answer: () => undefined, isOver: false, granted: undefined }
      const answer = Effect.async<Grant, AlreadyRegistered | RegistryError>((resume) => {
        waiting.answer = resume
        this.waiting.push(waiting)
        this.came.raise()
      })
      return Effect.onExit(
        deadline(Effect.interruptible(answer), this.options.deadline, () => unavailable(timedOut())),
        (exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit)) return
            // The deadline may have passed in the moment of the answer.
            waiting.isOver = true
            if (waiting.granted !== undefined) this.giveBack(waiting.granted)
          })
      )
    })

  private asked({ kind, metadata, name, process }: Claim): Asked | undefined {
    const address = process instanceof URL ? process : this.options.advertise
    if (address === undefined) return undefined
    return { claim: ++this.claims, kind, name, address: address.href, metadata: JSON.stringify(metadata) }
  }

  /** The table has let go of it. */
  readonly letGo = ({ kind, name, token }: Granted): void => {
    this.tokens.delete(token)
    if (kind === "name" && this.names.get(name)?.token === token) this.names.delete(name)
  }

  /** Gives a grant back, as `Returns` does. */
  readonly release = (granted: Granted): Effect.Effect<void> =>
    Effect.suspend(() => {
      this.letGo(granted)
      return this.options.returns.giveBack(granted.token)
    })

  private giveBack(granted: Granted): void {
    this.letGo(granted)
    this.options.returns.add(granted.token)
  }

  /** Whether a row of this process is one that it holds, is about to, or would have back. */
  readonly knows = (row: { readonly token: number; readonly claim: number }): boolean =>
    this.tokens.has(row.token) || this.asking.has(row.claim) || this.options.replica.isLapsed(row.token)

  readonly close = Effect.sync(() => {
    for (const one of this.waiting) one.answer(Effect.fail(Failures.storageUnavailable("this registry is closed")))
    this.waiting = []
  })

  /** Answers claims until it is interrupted. */
  readonly run: Effect.Effect<never> = Effect.suspend(() => {
    if (this.waiting.length === 0) return this.came.wait
    if (this.options.lease().holds()) {
      // Whoever waits for its turn has it before the next round: a semaphore does not see to that by itself.
      return Effect.zipRight(this.one.withPermits(1)(this.answerSome), Effect.yieldNow())
    }
    // While there is no lease, claims wait for as long as their deadline allows.
    this.waiting = this.waiting.filter(({ isOver }) => !isOver)
    return Effect.sleep("20 millis")
  }).pipe(Effect.forever)

  private readonly answerSome = Effect.suspend(() => {
    const lease = this.options.lease()
    const taken = this.take()
    return taken.length > 0 ? this.answerThese(taken, lease) : Effect.void
  })

  /** The next ones to ask for. Those for names that are held here need not be asked. */
  private take(): ReadonlyArray<Waiting> {
    const taken: Array<Waiting> = []
    const rest: Array<Waiting> = []
    const names = new Set<string>()
    for (const one of this.waiting) {
      const { kind, name } = one.asked
      if (one.isOver) continue
      const held = kind === "name" ? this.names.get(name) : undefined
      if (held !== undefined && counts(held.claim.process, held.lease)) {
        const known = this.options.replica.holder(name)
        const metadata = known?.token === held.token ? known.metadata : held.claim.metadata
        one.answer(Effect.fail(Failures.alreadyRegistered(name, metadata)))
      } else if (taken.length === batch || (kind === "name" && names.has(name))) rest.push(one)
      else {
        // Numbered as they are sent, see `Store.claim`.
        one.asked = { ...one.asked, claim: ++this.claims }
        taken.push(one)
        if (kind === "name") names.add(name)
      }
    }
    this.waiting = rest
    return taken
  }

  private answerThese(taken: ReadonlyArray<Waiting>, lease: Lease): Effect.Effect<void> {
    const asked = taken.map(({ asked }) => asked)
    const answering = Effect.matchEffect(this.claim(asked), {
      onFailure: (failure) =>
        Effect.sync(() => {
          for (const one of taken) one.answer(Effect.fail(unavailable(failure)))
        }),
      onSuccess: (answers) =>
        Effect.map(this.formerReasons(taken, answers), (reasons) => {
          for (const one of taken) this.settle(one, answers.get(one.asked.claim), lease, reasons)
        })
    })
    return this.underway(asked, answering)
  }

  private settle(one: Waiting, answer: Answer | undefined, lease: Lease, reasons: ReadonlyMap<string, string>): void {
    const { claim, name } = { claim: one.claim, name: one.asked.name }
    if (answer === undefined || answer.is === "open") {
      this.waiting.push(one)
    } else if (answer.is === "taken") {
      one.answer(Effect.fail(Failures.alreadyRegistered(name, parsed(answer.holder))))
    } else if (one.isOver || !lease.holds()) {
      this.options.returns.add(answer.row.token)
      one.answer(Effect.fail(Failures.leaseOver(name)))
    } else {
      one.granted = { kind: claim.kind, name, token: answer.row.token }
      one.answer(Effect.succeed(this.hold(claim, answer.row, lease, reasons.get(name))))
    }
  }

  private hold(claim: Claim, { at, token }: GrantedRow, lease: Lease, former?: string): Grant {
    this.tokens.add(token)
    if (claim.kind === "name") this.names.set(claim.name, { claim, token, lease })
    return { token, lease, at, ...(former === "closed" || former === "expired" ? { former } : {}) }
  }

  /** Asks for all in one statement, and for what it was refused who has it: as often as that is nobody any more. */
  private claim(asked: ReadonlyArray<Asked>): Effect.Effect<ReadonlyMap<number, Answer>, SqlFailure> {
    const { node, store } = this.options
    return Effect.gen(this, function* () {
      const answers = new Map<number, Answer>()
      let open = asked
      for (let attempt = 0; open.length > 0 && attempt < attempts; attempt++) {
        for (const row of yield* store.claim(node, open)) answers.set(row.claim, { is: "granted", row })
        open = open.filter(({ claim }) => !answers.has(claim))
        if (open.length === 0) break
        const holders = new Map((yield* store.holders(open.map(({ name }) => name))).map((row) => [row.name, row]))
        for (const { claim, name } of open) {
          const holder = holders.get(name)
          if (holder?.expired === false) answers.set(claim, { is: "taken", holder: holder.metadata })
        }
        open = open.filter(({ claim }) => !answers.has(claim))
        const expired = open.filter(({ name }) => holders.has(name)).map(({ name }) => name)
        if (expired.length > 0) yield* store.evict(expired)
      }
      return answers
    }).pipe(
      (work) => asking(work, this.options.deadline),
      Effect.tapError(() =>
        // They may have been granted all the same.
        Effect.sync(() => this.options.returns.addStrays(asked.map(({ claim }) => claim)))
      )
    )
  }

  /** From before it is asked until what was granted is noted, no row of these claims is taken for one of nobody. */
  private underway<A, E>(asked: ReadonlyArray<Asked>, work: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        for (const { claim } of asked) this.asking.add(claim)
      }),
      () => work,
      () =>
        Effect.sync(() => {
          for (const { claim } of asked) this.asking.delete(claim)
        })
    )
  }

  /** Why those have ended that the table still has under the names that were granted now. */
  private formerReasons(
    taken: ReadonlyArray<Waiting>,
    answers: ReadonlyMap<number, Answer>
  ): Effect.Effect<ReadonlyMap<string, string>> {
    const former = new Map<number, string>()
    for (const { asked } of taken) {
      if (asked.kind === "group" || answers.get(asked.claim)?.is !== "granted") continue
      const holder = this.options.replica.holder(asked.name)
      if (holder !== undefined && !holder.isOwn) former.set(holder.token, asked.name)
    }
    if (former.size === 0) return Effect.succeed(new Map())
    return asking(this.options.store.reasons([...former.keys()]), "1 second").pipe(
      Effect.map((rows) => new Map(rows.map(({ reason, token }) => [former.get(token) ?? "", reason]))),
      Effect.orElseSucceed(() => new Map())
    )
  }

  /**
   * Has what has lapsed granted anew: under the same token where nobody has taken it meanwhile, under another where its
   * row is gone, and not where another has the name.
   */
  readonly resume = (lease: Lease): Effect.Effect<void, SqlFailure> =>
    Effect.gen(this, function* () {
      const { node, replica, store } = this.options
      const rows = new Map(
        (yield* asking(store.own(node, ++this.claims), this.options.deadline)).map((row) => [row.token, row])
      )
      const gone: Array<{ readonly claim: Claim; readonly token: number; readonly asked: Asked }> = []
      for (const claim of replica.lapsed()) {
        const row = rows.get(claim.token)
        if (claim.kind === "name" && this.names.has(claim.name)) replica.forsake(claim.token)
        else if (row !== undefined) this.revive(claim, claim.token, row, lease)
        else {
          const asked = this.asked(claim)
          if (asked !== undefined) gone.push({ claim, token: claim.token, asked })
        }
      }
      while (gone.length > 0) {
        const some = gone.splice(0, batch)
        const asked = some.map(({ asked }) => asked)
        const asking = Effect.map(this.claim(asked), (answers) => {
          for (const { asked, claim, token } of some) {
            const answer = answers.get(asked.claim)
            if (answer?.is === "granted") this.revive(claim, token, answer.row, lease)
            else if (answer?.is === "taken") replica.forsake(token)
          }
        })
        yield* this.underway(asked, asking)
      }
    }).pipe(this.one.withPermits(1))

  private revive(claim: Claim, token: number, row: GrantedRow, lease: Lease): void {
    const grant = this.hold(claim, row, lease)
    if (this.options.replica.revive(token, grant)) return
    this.giveBack({ kind: claim.kind, name: claim.name, token: row.token })
  }
}

const parsed = (metadata: string): Record<string, unknown> => {
  try {
    return jsonSafeRecord(JSON.parse(metadata))
  } catch {
    return {}
  }
}

/** The claim cannot be answered. */
export const unavailable = ({ code, kind, message }: SqlFailure): RegistryError =>
  Failures.storageUnavailable(message, { kind, code })
