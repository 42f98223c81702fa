import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AlreadyRegistered, RegistryError } from "../../FoundationError.js"
import { deadline } from "../../internal/deadline.js"
import { jsonSafeRecord } from "../../internal/jsonSafe.js"
import { type SqlFailure, timedOut } from "../../internal/Sql/Failure.js"
import type { Claim, Grant, Granted, Lease } from "../Backend.js"
import * as Failures from "../Failures.js"
import { counts } from "../Registration.js"
import type { Replica } from "../Replica.js"
import { asking } from "./asking.js"
import { Signal } from "./Signal.js"
import type { Asked, GrantedRow, Store } from "./Store.js"

/** How many claims or releases one statement takes at most. */
const batch = 256
/** How often a name that was free or expired a moment ago is asked for again in one go. */
const attempts = 5

export interface DeskOptions {
  readonly store: Store
  readonly replica: Replica
  readonly node: string
  readonly deadline: Duration.DurationInput
  /** The lease under which claims are granted. */
  readonly lease: () => Lease
  /** What others see of a fiber that is registered here. */
  readonly advertise: URL | undefined
}

/** A claim that waits for its answer. */
interface Waiting {
  readonly asked: Asked
  readonly claim: Claim
  readonly answer: (answer: Effect.Effect<Grant, AlreadyRegistered | RegistryError>) => void
  /** Nobody waits any more: what is granted is given back. */
  isOver: boolean
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
  /** What is to be given back: tokens, with who waits for it, and claims whose answer never came. */
  private returns = new Map<number, () => void>()
  private strays = new Set<number>()
  /** Whether the database did what it was last asked for. */
  private isWell = true
  private isClosed = false

  private readonly came = new Signal()
  private readonly gave = new Signal()
  private readonly one = Effect.unsafeMakeSemaphore(1)

  constructor(private readonly options: DeskOptions) {}

  /** Asks for a name or a place. Nothing stays behind where the caller goes away or the deadline passes. */
  readonly ask = (claim: Claim): Effect.Effect<Grant, AlreadyRegistered | RegistryError> =>
    Effect.suspend(() => {
      const asked = this.asked(claim)
      if (asked === undefined) return Effect.fail(Failures.notAdvertised(claim.name))
      const answer = Effect.async<Grant, AlreadyRegistered | RegistryError>((resume) => {
        const waiting: Waiting = { asked, claim, answer: resume, isOver: false }
        this.waiting.push(waiting)
        this.came.raise()
        return Effect.sync(() => {
          waiting.isOver = true
        })
      })
      return deadline(Effect.interruptible(answer), this.options.deadline, () => unavailable(timedOut()))
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

  /**
   * Gives a grant back. Waits until the database has done so, but not where that fails: it goes on in the background, and
   * ends with the lease at the latest.
   */
  readonly release = (granted: Granted): Effect.Effect<void> =>
    Effect.async((resume) => {
      this.letGo(granted)
      if (this.isClosed) return resume(Effect.void)
      this.giveBack(granted.token, () => resume(Effect.void))
      if (!this.isWell) resume(Effect.void)
    })

  private giveBack(token: number, done: () => void = () => undefined): void {
    // It may be on its way already, with somebody who waits for it.
    const before = this.returns.get(token)
    this.returns.set(token, () => {
      before?.()
      done()
    })
    this.gave.raise()
  }

  /** Whether a row of this process is one that it holds, is about to, or would have back. */
  readonly knows = (row: { readonly token: number; readonly claim: number }): boolean =>
    this.tokens.has(row.token) || this.asking.has(row.claim) || this.options.replica.isLapsed(row.token)

  /** Rows of this process that nobody holds: of claims whose answer was lost. */
  readonly disown = (tokens: ReadonlyArray<number>): void => {
    for (const token of tokens) this.giveBack(token)
  }

  readonly close = Effect.sync(() => {
    this.isClosed = true
    for (const done of this.returns.values()) done()
  })

  /** Answers claims until it is interrupted. */
  readonly runClaims: Effect.Effect<never> = Effect.suspend(() =>
    this.waiting.length === 0 ? this.came.wait : this.answerSome
  ).pipe(Effect.forever)

  private readonly answerSome = Effect.gen(this, function* () {
    const lease = this.options.lease()
    // While there is none, claims wait for as long as their deadline allows.
    if (!lease.holds()) {
      this.waiting = this.waiting.filter(({ isOver }) => !isOver)
      return yield* Effect.sleep("20 millis")
    }
    const taken = this.take()
    if (taken.length > 0) yield* this.one.withPermits(1)(this.answerThese(taken, lease))
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
      this.giveBack(answer.row.token)
      one.answer(Effect.fail(Failures.leaseOver(name)))
    } else {
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
      Effect.tap(() => Effect.sync(() => this.noteWell(true))),
      Effect.tapError(() =>
        Effect.sync(() => {
          this.noteWell(false)
          // They may have been granted all the same.
          for (const { claim } of asked) this.strays.add(claim)
          this.gave.raise()
        })
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
      const rows = new Map((yield* asking(store.own(node), this.options.deadline)).map((row) => [row.token, row]))
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
    this.letGo({ kind: claim.kind, name: claim.name, token: row.token })
    this.giveBack(row.token)
  }

  /** Gives back, until it is interrupted. */
  readonly runReturns: Effect.Effect<never> = Effect.suspend(() =>
    this.returns.size === 0 && this.strays.size === 0 ? this.gave.wait : this.giveSome
  ).pipe(Effect.forever)

  private readonly giveSome = Effect.suspend(() => {
    const { node, store } = this.options
    const tokens = [...this.returns.keys()].slice(0, batch)
    const strays = [...this.strays].slice(0, batch)
    const done = () => {
      for (const token of tokens) this.returns.get(token)?.()
    }
    return asking(
      Effect.zipRight(
        tokens.length === 0 ? Effect.void : store.release(tokens),
        strays.length === 0 ? Effect.void : store.abandon(node, strays)
      ),
      this.options.deadline
    ).pipe(
      Effect.matchEffect({
        onSuccess: () =>
          Effect.sync(() => {
            this.noteWell(true)
            done()
            for (const token of tokens) this.returns.delete(token)
            for (const stray of strays) this.strays.delete(stray)
          }),
        onFailure: () => {
          this.noteWell(false)
          done()
          return Effect.sleep("500 millis")
        }
      })
    )
  })

  private noteWell(isWell: boolean): void {
    this.isWell = isWell
    if (!isWell) for (const done of this.returns.values()) done()
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
