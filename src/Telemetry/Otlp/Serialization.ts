import type * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as HttpBody from "@effect/platform/HttpBody"
import type * as Context from "effect/Context"
import {
  type Attributed,
  attributed,
  type Encoding,
  type LogData,
  logsOf,
  type SpanData,
  spansOf
} from "./Corrections.js"

type Serialization = Context.Tag.Service<OtlpSerialization.OtlpSerialization>

interface TracesData {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: Attributed
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<SpanData> }>
  }>
}

interface LogsData {
  readonly resourceLogs: ReadonlyArray<{
    readonly resource: Attributed
    readonly scopeLogs: ReadonlyArray<{ readonly logRecords: ReadonlyArray<LogData> }>
  }>
}

/** The encoder, with what it is given corrected before. What cannot be encoded is empty, and `lost` is told. */
export const corrected = (encoder: Serialization, encoding: Encoding, lost: () => void): Serialization => {
  const attempt = (encode: () => HttpBody.HttpBody): HttpBody.HttpBody => {
    try {
      return encode()
    } catch {
      lost()
      return HttpBody.uint8Array(new Uint8Array(0))
    }
  }
  return {
    metrics: (data) => attempt(() => encoder.metrics(data)),
    // What `@effect/opentelemetry` calls it with.
    traces: (data) => attempt(() => encoder.traces(tracesOf(data as TracesData, encoding))),
    logs: (data) => attempt(() => encoder.logs(recordsOf(data as LogsData, encoding)))
  }
}

const tracesOf = ({ resourceSpans }: TracesData, encoding: Encoding): TracesData => ({
  resourceSpans: resourceSpans.map(({ resource, scopeSpans }) => ({
    resource: attributed(resource, encoding),
    scopeSpans: scopeSpans.map((scope) => ({ ...scope, spans: spansOf(scope.spans, encoding) }))
  }))
})

const recordsOf = ({ resourceLogs }: LogsData, encoding: Encoding): LogsData => ({
  resourceLogs: resourceLogs.map(({ resource, scopeLogs }) => ({
    resource: attributed(resource, encoding),
    scopeLogs: scopeLogs.map((scope) => ({ ...scope, logRecords: logsOf(scope.logRecords, encoding) }))
  }))
})
