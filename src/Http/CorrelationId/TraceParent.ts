const zeros = /^0+$/

/** Whether it is what names a trace: 32 lowercase hexadecimal digits that are not all zero. */
export const isTraceId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text) && !zeros.test(text)

/** Version, trace id, parent id and flags; a version to come may add fields behind a dash. */
const shape = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?$/

/** The trace id of a `traceparent` header, as strict as W3C Trace Context (level 2, section 3.2) is; nothing of any other. */
export const traceIdOf = (traceparent: string): string | undefined => {
  const match = shape.exec(traceparent)
  if (match === null) return undefined
  const [, version, traceId = "", parentId = "", more] = match
  const isKnown = version === "00" ? more === undefined : version !== "ff"
  return isKnown && !zeros.test(traceId) && !zeros.test(parentId) ? traceId : undefined
}
