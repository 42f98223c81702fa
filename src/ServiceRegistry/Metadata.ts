import { copyJsonRecord, Refused } from "../internal/json.js"

/** What a registration says about its process. JSON, frozen. */
export type Metadata = { readonly [key: string]: unknown }

/** The bound on the metadata of one registration: the length of its JSON in UTF-8. */
export const maxMetadataBytes = 16_384

/** The metadata of all who state none: one object, where a million names would have one each. */
export const noMetadata: Metadata = Object.freeze({})

/** A frozen copy of the metadata, or where and why it is refused. */
export const acceptMetadata = (input: unknown): Metadata | Refused => {
  if (input === noMetadata) return noMetadata
  const copy = copyJsonRecord(input, "metadata", maxMetadataBytes)
  return copy instanceof Refused ? copy : copy.value
}
