import type { Events } from "effect-foundation/Events"

/** A stored event of which nothing matters but where it is, and perhaps its id. */
export const plainEvent = (position: number, id = `${position}`): Events.StoredEvent => ({
  position,
  id,
  type: "t",
  data: null,
  timestamp: 0,
  stream: undefined,
  version: undefined,
  correlationId: "c",
  causationId: undefined,
  metadata: {}
})
