import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { monotonicMicros } from "../../internal/monotonic.js"
import { type SqlFailure, timedOut } from "../../internal/Sql/Failure.js"
import type { Appended } from "../Backend.js"
import type { Batch } from "./Decide.js"
import { Held, type Store } from "./Store.js"

/** One that waits for its batch to be stored. */
interface Waiting {
  readonly batch: Batch
  readonly size: number
  /** When it came, in microseconds. */
  readonly since: number
  readonly resume: (exit: Exit.Exit<Appended, SqlFailure>) => void
}

/** How many batches of a group that was held up try alone at a time, and how many wait, each over a connection. */
const alone = 2

/** The bounds of one group. A batch that passes one by itself is a group of its own. */
const maxEvents = 1024
const maxBytes = 4 * 1024 * 1024

export interface GroupsOptions extends Pick<Store, "commit" | "insist"> {
  /** For how many milliseconds a caller waits at most. */
  readonly deadline: number
  /** Stores a batch in the step in which it is brought, in the fiber of its caller: for a store that can do so. */
  readonly atOnce?: (batch: Batch) => Effect.Effect<Appended, SqlFailure>
}

/**
 * Stores what callers bring at the same time in one transaction. The first finds nobody at work and starts: all that come
 * until the database can take them are the next group. One group is stored at a time, in the order in which they came.
 *
 * A caller waits until its own batch is committed: that is the back-pressure, and so there are never more waiting than the
 * program has fibers that store. A caller that is interrupted before its group begins stores nothing; after that, its
 * batch may be stored. The groups run in fibers of their own, so that the end of one caller is not that of the others.
 *
 * None waits longer than the deadline: who has waited for half of it is not begun with any more, and a group gets what its
 * oldest has left.
 *
 * Where a single fiber stores there is nobody to wait for: the batch is stored in the fiber of its caller, which saves the
 * two ways between the fibers. Whoever comes meanwhile waits for the end of it, as of a group.
 *
 * A group that another transaction holds up is taken apart, and each of its batches waits by itself: a program that has a
 * stream in a long transaction keeps only those waiting who store in that stream.
 */
export class Groups {
  private waiting: Array<Waiting> = []
  /** Continues the work, where there is none to do. */
  private wake: (() => void) | undefined
  private closed = false
  /** Whether a group is being stored, or the last one was of several callers: then others are about to come. */
  private busy = false
  /** Whether a batch is being stored in the fiber of its caller. */
  private inCaller = false
  /** The fiber that has stored at once, until all others that can run have done so. */
  private single: Fiber.RuntimeFiber<unknown, unknown> | undefined
  /** The fibers of batches that are held up. */
  private readonly held = new Set<Fiber.RuntimeFiber<void>>()
  private readonly trying = Effect.unsafeMakeSemaphore(alone)
  private readonly insisting = Effect.unsafeMakeSemaphore(alone)

  private constructor(
    private readonly clock: Clock.Clock,
    private readonly options: GroupsOptions
  ) {}

  /** When the scope closes, what has been begun is ended. */
  static readonly make = (options: GroupsOptions): Effect.Effect<Groups, never, Scope.Scope> =>
    Effect.gen(function* () {
      const groups = new Groups(yield* Effect.clock, options)
      const work = Runtime.runFork(yield* Effect.runtime<never>(), groups.work)
      yield* Effect.addFinalizer(() => {
        groups.closed = true
        groups.wake?.()
        return Effect.zipRight(
          Fiber.await(work),
          Effect.suspend(() => Fiber.awaitAll(groups.held))
        )
      })
      return groups
    })

  append(batch: Batch): Effect.Effect<Appended, SqlFailure> {
    const { atOnce } = this.options
    if (atOnce !== undefined) {
      return Effect.withFiberRuntime((fiber) => (this.isSingle(fiber) ? atOnce(batch) : this.queued(batch)))
    }
    return Effect.uninterruptibleMask((restore) =>
      this.busy || this.waiting.length > 0 ? restore(this.queued(batch)) : this.stored(batch, restore)
    )
  }

  /** Stores the batch in the fiber of its caller, while the work waits. It is begun in this step, and so has an end. */
  private stored(
    batch: Batch,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ): Effect.Effect<Appended, SqlFailure> {
    this.busy = true
    this.inCaller = true
    const since = monotonicMicros(this.clock)
    const end = () => {
      this.busy = false
      this.inCaller = false
      if (this.waiting.length > 0 || this.closed) this.wake?.()
    }
    const committed = Effect.ensuring(restore(this.options.commit([batch], this.options.deadline)), Effect.sync(end))
    const apart = Effect.suspend(() => {
      const ended = Deferred.unsafeMake<Appended, SqlFailure>(FiberId.none)
      const resume = (exit: Exit.Exit<Appended, SqlFailure>) => Deferred.unsafeDone(ended, exit)
      return Effect.zipRight(this.apart({ batch, size: sizeOf(batch), since, resume }), Deferred.await(ended))
    })
    return Effect.catchIf(
      Effect.flatMap(committed, ([appended]) => answer(appended)),
      isHeld,
      () => restore(apart)
    )
  }

  /** Whether nobody else stores. Several that come in one turn of the fibers are found out by the second of them. */
  private isSingle(fiber: Fiber.RuntimeFiber<unknown, unknown>): boolean {
    if (this.busy || this.waiting.length > 0) return false
    if (this.single === undefined) {
      this.single = fiber
      queueMicrotask(this.forgetSingle)
    }
    return this.single === fiber
  }

  private readonly forgetSingle = () => {
    this.single = undefined
  }

  private queued(batch: Batch): Effect.Effect<Appended, SqlFailure> {
    return Effect.async((resume) => {
      const waiting: Waiting = { batch, size: sizeOf(batch), since: monotonicMicros(this.clock), resume }
      this.waiting.push(waiting)
      if (!this.inCaller) this.wake?.()
      return Effect.sync(() => {
        const index = this.waiting.indexOf(waiting)
        if (index >= 0) this.waiting.splice(index, 1)
      })
    })
  }

  /**
   * Whoever is about to store when the work wakes, or when a group has ended, does so first, and takes part: the work goes
   * on behind all fibers that can run.
   */
  private readonly work: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isReady()) return Effect.zipRight(Effect.zipRight(this.group, Effect.yieldNow()), this.work)
    if (this.isOver()) return Effect.void
    const woken = Effect.async<void>((resume) => {
      // Others may have run since the last look: a fiber gives way after so many steps.
      if (this.isReady() || this.isOver()) return resume(Effect.void)
      this.wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
    })
    return Effect.zipRight(woken, this.work)
  })

  private isReady(): boolean {
    return !this.inCaller && this.waiting.length > 0
  }

  private isOver(): boolean {
    return this.closed && !this.inCaller
  }

  /** Stores the next group. */
  private readonly group: Effect.Effect<void> = Effect.suspend(() => {
    const group = this.next()
    const [oldest] = group
    if (oldest === undefined) return Effect.void
    const batches = group.map(({ batch }) => batch)
    this.busy = true
    const commit = Effect.map(this.options.commit(batches, this.leftOf(oldest)), (appended) => ({ appended }))
    const committed = Effect.catchIf(commit, isHeld, () => Effect.succeed(undefined))
    return Effect.flatMap(Effect.exit(committed), (exit) => {
      this.busy = group.length > 1
      if (Exit.isSuccess(exit) && exit.value === undefined) {
        return Effect.forEach(group, (waiting) => this.apart(waiting), { discard: true })
      }
      for (const [index, { resume }] of group.entries()) {
        resume(Exit.flatMap(exit, (answered) => answer(answered?.appended[index])))
      }
      return Effect.void
    })
  })

  /** Stores the batch by itself, while the work goes on: those that nothing holds up do not wait for the others. */
  private apart(waiting: Waiting): Effect.Effect<void> {
    const { batch, resume } = waiting
    const inTime = <A, E>(store: (within: number) => Effect.Effect<A, E>): Effect.Effect<A, E | SqlFailure> =>
      Effect.suspend((): Effect.Effect<A, E | SqlFailure> => {
        const left = this.leftOf(waiting)
        return left > 0 ? store(left) : Effect.fail(timedOut())
      })
    const tried = Effect.flatMap(
      inTime((within) => this.options.commit([batch], within)),
      ([appended]) => answer(appended)
    )
    const stored = Effect.catchIf(this.trying.withPermits(1)(tried), isHeld, () =>
      this.insisting.withPermits(1)(inTime((within) => this.options.insist(batch, within)))
    )
    return Effect.map(Effect.forkDaemon(Effect.map(Effect.exit(stored), resume)), (fiber) => {
      this.held.add(fiber)
      fiber.addObserver(() => this.held.delete(fiber))
    })
  }

  /** For how many milliseconds the caller waits yet. */
  private leftOf({ since }: Waiting): number {
    return this.options.deadline - (monotonicMicros(this.clock) - since) / 1000
  }

  /** The next group; those whose turn comes too late are told so. */
  private next(): ReadonlyArray<Waiting> {
    const now = monotonicMicros(this.clock)
    const patience = this.options.deadline * 500
    let events = 0
    let bytes = 0
    let count = 0
    for (const { batch, size } of this.waiting) {
      events += batch.events.length
      bytes += size
      if (count > 0 && (events > maxEvents || bytes > maxBytes)) break
      count++
    }
    const group = this.waiting.splice(0, count)
    return group.filter(({ resume, since }) => {
      const inTime = now - since <= patience
      if (!inTime) resume(Exit.fail(timedOut()))
      return inTime
    })
  }
}

const isHeld = (failure: SqlFailure | Held): failure is Held => failure instanceof Held

const sizeOf = ({ events }: Batch): number => events.reduce((sum, { bytes }) => sum + bytes, 0)

const answer = (appended: Appended | undefined): Exit.Exit<Appended> =>
  appended === undefined ? Exit.die("The database has not answered for every batch") : Exit.succeed(appended)
