/** An event that a consumer could not handle, and went on without. */
export interface DeadLetter {
  readonly consumer: string
  /** The position of the event. */
  readonly position: number
  readonly id: string
  readonly type: string
  /** What the last attempt failed with, in a text of at most 2,000 characters, without what looks like a secret. */
  readonly error: string
  /** How often the handler was given the event, replays included. */
  readonly attempts: number
  /** When the last attempt failed, in milliseconds since 1970. */
  readonly failedAt: number
  /** Whether it waits to be replayed. */
  readonly replaying: boolean
}
