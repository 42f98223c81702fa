import * as Effect from "effect/Effect"
import { waitOf } from "../../internal/monotonic.js"
import type { Redis } from "../../Redis.js"
import type { Outcome } from "../Circuit.js"
import { FleetPermit } from "./Permits.js"
import * as Scripts from "./Scripts.js"
import type { Done, Store } from "./Store.js"

/** The places of probes that this process holds in one circuit of the fleet. */
export class Probes {
  constructor(
    private readonly store: Store,
    private readonly send: (script: Redis.Script, args: ReadonlyArray<string>, done: Done) => void
  ) {}

  /** A place that Redis has given, for so many microseconds at most. It is kept until it is settled. */
  take(generation: number, token: string, hold: number): FleetPermit {
    const permit = new FleetPermit(generation, token)
    const { lease } = this.store.settings
    if (lease < hold) {
      permit.renewal = this.store.fork(this.renewing(generation, token, this.store.now() + hold))
    }
    return permit
  }

  /** Stops keeping the place, for one whose end Redis need not hear of. */
  leave({ renewal }: FleetPermit): void {
    renewal?.unsafeInterruptAsFork(renewal.id())
  }

  /** Waits until Redis has heard, or does not answer; in that case it hears when it answers again. */
  settle(permit: FleetPermit, token: string, outcome: Outcome, opening: string): Effect.Effect<void> {
    this.leave(permit)
    const args = [String(permit.generation), token, outcome, opening]
    return Effect.async((resume) =>
      this.send(Scripts.settle, args, (error) => {
        // To say it twice changes nothing: a token is settled once.
        if (error !== undefined && error.reason !== "refused") {
          this.store.owe(() => this.send(Scripts.settle, args, () => undefined))
        }
        resume(Effect.void)
      })
    )
  }

  /** Frees a place that Redis may have given, without that anybody heard of it. */
  giveBack(token: string): void {
    this.store.owe(() => this.send(Scripts.settle, ["", token, "ignore", "0"], () => undefined))
  }

  /** Keeps the place while the probe runs, for no longer than the policy lets a probe hold it. */
  private renewing(generation: number, token: string, until: number): Effect.Effect<void> {
    const { lease } = this.store.settings
    const renew = Effect.async<boolean>((resume) => {
      const left = Math.min(lease, until - this.store.now())
      if (left <= 0) return resume(Effect.succeed(false))
      this.send(Scripts.renew, [String(generation), token, String(Math.ceil(left))], (_, reply) =>
        resume(Effect.succeed(reply?.verdict !== "late"))
      )
    })
    return Effect.repeat(Effect.delay(renew, waitOf(lease / 3)), { while: (isHeld) => isHeld }).pipe(Effect.asVoid)
  }
}
