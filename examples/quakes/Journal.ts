import { Schema } from "effect"
import { Events } from "effect-foundation"
import { Quake } from "./Quake.js"

/** What the webhook is told of a strong quake. */
export class Alert extends Schema.Class<Alert>("Alert")({
  quake: Schema.String,
  magnitude: Schema.NullOr(Schema.Number),
  place: Schema.String,
  region: Schema.String,
  /** The threshold in force when it was decided. */
  threshold: Schema.Number
}) {}

/** The events that the parts of the service meet in: none of them calls another. */
export const QuakeRecorded = Events.define("quake_recorded", Quake)
export const AlertRaised = Events.define("alert_raised", Alert)
export const AlertDelivered = Events.define("alert_delivered", Alert)
