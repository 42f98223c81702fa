import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { Notification } from "../../src/Redis/Notification.js"
import { type Connection, type Link, Subscriptions } from "../../src/Redis/Subscriptions.js"

/** A connection that does nothing by itself. */
interface Opened {
  readonly channels: ReadonlyArray<string>
  readonly on: Parameters<Link["open"]>[1]
  readonly confirmations: Array<() => void>
  readonly pings: Array<() => void>
  closed: boolean
}

const linkOf = (opened: Array<Opened>): Link => ({
  delay: () => 50,
  open: (channels, on): Connection => {
    const connection: Opened = { channels, on, confirmations: [], pings: [], closed: false }
    opened.push(connection)
    return {
      subscribe: (_, done) => void connection.confirmations.push(done),
      unsubscribe: () => undefined,
      ping: (done) => void connection.pings.push(done),
      close: () => {
        connection.closed = true
      }
    }
  }
})

describe("subscriptions", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const setUp = () => {
    const opened: Array<Opened> = []
    return { opened, subscriptions: new Subscriptions(linkOf(opened)) }
  }

  it("give up a connection that does not come up, for another", () => {
    const { opened, subscriptions } = setUp()
    const heard: Array<Notification> = []
    subscriptions.add("news", (notification) => heard.push(notification))
    expect(opened).toHaveLength(1)
    vi.advanceTimersByTime(15_000)
    expect(opened.length).toBeGreaterThan(1)
    expect(opened[0]?.closed).toBe(true)
    // What the first says now is not heard.
    opened[0]?.on.up()
    expect(heard).toEqual([])
    opened.at(-1)?.on.up()
    expect(heard).toEqual([{ _tag: "Gap" }])
    subscriptions.close()
    expect(vi.getTimerCount()).toBe(0)
  })

  it("say nothing to who has left, though its subscription is confirmed then", () => {
    const { opened, subscriptions } = setUp()
    subscriptions.add("news", () => undefined)
    opened[0]?.on.up()
    const heard: Array<Notification> = []
    subscriptions.add("news", (notification) => heard.push(notification))()
    for (const confirm of opened[0]?.confirmations ?? []) confirm()
    expect(heard).toEqual([])
    subscriptions.close()
  })

  it("keep the listener of one who listens as another does, who leaves", () => {
    const { opened, subscriptions } = setUp()
    const heard: Array<Notification> = []
    const listener = (notification: Notification) => void heard.push(notification)
    const leave = subscriptions.add("news", listener)
    opened[0]?.on.up()
    subscriptions.add("news", listener)
    leave()
    leave()
    heard.length = 0
    opened[0]?.on.message("news", "a")
    expect(heard).toEqual([{ _tag: "Message", text: "a" }])
    subscriptions.close()
  })

  it("stop, with all their timers, when the last who listens has left", () => {
    const { opened, subscriptions } = setUp()
    const leave = subscriptions.add("news", () => undefined)
    opened[0]?.on.up()
    vi.advanceTimersByTime(2000)
    expect(opened[0]?.pings).toHaveLength(1)
    leave()
    expect(opened[0]?.closed).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })
})
