/** The parts of OTLP's data that are corrected here, as `@effect/opentelemetry` makes them. */
export interface KeyValue {
  readonly key: string
  readonly value: AnyValue
}

export interface AnyValue {
  readonly stringValue?: string | null
  readonly boolValue?: boolean | null
  readonly intValue?: number | bigint | string | null
  readonly doubleValue?: number | string | null
  readonly arrayValue?: { readonly values: ReadonlyArray<AnyValue> }
}

export interface Attributed {
  readonly attributes: ReadonlyArray<KeyValue>
  readonly droppedAttributesCount: number
}

export interface SpanData extends Attributed {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly events: ReadonlyArray<Attributed & { readonly name: string }>
  readonly droppedEventsCount: number
  readonly links: ReadonlyArray<Attributed & { readonly traceId: string; readonly spanId: string }>
  readonly droppedLinksCount: number
  readonly status: { readonly code: number; readonly message?: string }
}

export interface LogData extends Attributed {
  readonly traceId?: string
  readonly spanId?: string
  readonly body?: AnyValue
}

export type Encoding = "protobuf" | "json"

/** OpenTelemetry's own bounds ("Span limits"). A text has none there; this one keeps a batch in proportion. */
export const limits = { attributes: 128, events: 128, links: 128, text: 8192, values: 128 } as const

const isTraceId = /^(?!0+$)[0-9a-f]{32}$/
const isSpanId = /^(?!0+$)[0-9a-f]{16}$/

/** The spans as the specification has them; one whose ids are not valid is left out, with which no receiver takes any. */
export const spansOf = (spans: ReadonlyArray<SpanData>, encoding: Encoding): ReadonlyArray<SpanData> =>
  spans.flatMap((span) => {
    if (!isTraceId.test(span.traceId) || !isSpanId.test(span.spanId)) return []
    const events = span.events.slice(-limits.events)
    const links = span.links.filter(({ spanId, traceId }) => isTraceId.test(traceId) && isSpanId.test(spanId))
    const kept = links.slice(0, limits.links)
    return [
      {
        ...span,
        ...attributed({ ...span, attributes: statusAttributes(span) }, encoding),
        parentSpanId:
          span.parentSpanId !== undefined && isSpanId.test(span.parentSpanId) ? span.parentSpanId : undefined,
        events: events.map((event) => ({ ...event, ...attributed(event, encoding) })),
        droppedEventsCount: span.droppedEventsCount + span.events.length - events.length,
        links: kept.map((link) => ({ ...link, ...attributed(link, encoding) })),
        droppedLinksCount: span.droppedLinksCount + span.links.length - kept.length,
        status:
          span.status.code === error ? { ...span.status, message: cut(span.status.message ?? "") } : { code: unset }
      }
    ]
  })

/** Status codes. `Ok` is for people to set: instrumentation leaves a success unset ("Set Status"). */
const [unset, ok, error] = [0, 1, 2]

/** Says of an interruption that it was one, which `@effect/opentelemetry` 0.64 says of failures; of those, what failed. */
const statusAttributes = ({ attributes, events, status }: SpanData): ReadonlyArray<KeyValue> => {
  const given = attributes.filter(({ key }) => key !== "span.label" && key !== "status.interrupted")
  if (status.code === ok && status.message !== undefined) {
    return [...given, { key: "status.interrupted", value: { boolValue: true } }]
  }
  if (status.code !== error || given.some(({ key }) => key === "error.type")) return given
  const type = events
    .findLast(({ name }) => name === "exception")
    ?.attributes.find(({ key }) => key === "exception.type")?.value
  return type === undefined ? given : [...given, { key: "error.type", value: type }]
}

/** The log records, bounded, without ids that are not valid. */
export const logsOf = (records: ReadonlyArray<LogData>, encoding: Encoding): ReadonlyArray<LogData> =>
  records.map(({ body, spanId, traceId, ...record }) => ({
    ...record,
    ...attributed(record, encoding),
    ...(body === undefined ? {} : { body: valueOf(body, encoding) }),
    ...(traceId !== undefined && spanId !== undefined && isTraceId.test(traceId) && isSpanId.test(spanId)
      ? { traceId, spanId }
      : {})
  }))

/** The attributes, bounded, each as the encoder can write it. */
export const attributed = ({ attributes, droppedAttributesCount }: Attributed, encoding: Encoding): Attributed => {
  const kept = attributes.slice(0, limits.attributes)
  return {
    attributes: kept.map(({ key, value }) => ({ key, value: valueOf(value, encoding) })),
    droppedAttributesCount: droppedAttributesCount + attributes.length - kept.length
  }
}

const valueOf = (value: AnyValue, encoding: Encoding): AnyValue => {
  if (typeof value.stringValue === "string") return { stringValue: cut(value.stringValue) }
  if (value.intValue !== undefined && value.intValue !== null) return integer(value.intValue, encoding)
  if (typeof value.doubleValue === "number") return double(value.doubleValue, encoding)
  if (value.arrayValue !== undefined) {
    const { values } = value.arrayValue
    return { arrayValue: { values: values.slice(0, limits.values).map((one) => valueOf(one, encoding)) } }
  }
  return value
}

/** As 64 bits: of a negative or a large number, the encoder would make bytes that break the message. */
const integer = (value: number | bigint | string, encoding: Encoding): AnyValue => {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) return double(number, encoding)
  return { intValue: encoding === "json" ? String(number) : BigInt.asUintN(64, BigInt(number)) }
}

/** JSON has no such numbers; Protobuf's JSON has texts for them. */
export const double = (value: number, encoding: Encoding): { readonly doubleValue: number | string } => ({
  doubleValue: encoding === "json" && !Number.isFinite(value) ? String(value) : value
})

const cut = (text: string): string => (text.length > limits.text ? `${text.slice(0, limits.text)}…` : text)
