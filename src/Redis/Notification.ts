/**
 * What comes over a channel.
 *
 * `Gap` comes whenever the subscription begins to hold, the first time too: what was sent before it may have been missed,
 * what is sent from then on comes, until the next. So a listener that reads the state anew at each `Gap` is up to date.
 */
export type Notification = { readonly _tag: "Message"; readonly text: string } | { readonly _tag: "Gap" }

/** The one `Gap`. */
export const gap: Notification = { _tag: "Gap" }
