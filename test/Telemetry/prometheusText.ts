import type * as Prometheus from "effect-foundation/Telemetry/Prometheus"

/** The samples of one family as they were read. */
export interface Read {
  readonly type: string
  readonly samples: ReadonlyArray<Sample>
}

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const suffixes: Readonly<Record<string, ReadonlyArray<string>>> = {
  counter: ["_total"],
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["", "_sum", "_count"]
}

/** Reads the text, as strictly as the specifications are written; throws at the first that is not valid. */
export const parse = (text: string, format: Prometheus.Format): ReadonlyMap<string, Read> => {
  const isOpen = format === "openmetrics"
  const fail = (line: string, why: string): never => {
    throw new Error(`${why}: ${JSON.stringify(line)} in\n${text}`)
  }
  if (text !== "" && !text.endsWith("\n")) fail(text.slice(-20), "does not end in a newline")
  if (isOpen !== text.endsWith("# EOF\n")) fail(text.slice(-20), "has a wrong end")
  const families = new Map<string, { type: string; samples: Array<Sample> }>()
  const series = new Set<string>()
  const metadata = new Set<string>()
  let current = ""
  for (const line of text.split("\n").slice(0, isOpen ? -2 : -1)) {
    const about = /^# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*)(?: (.*))?$/s.exec(line)
    if (about !== null) {
      const [, what = "", name = "", rest = ""] = about
      if (metadata.has(`${what} ${name}`)) fail(line, "is said twice")
      metadata.add(`${what} ${name}`)
      if (what === "HELP" && !/^([^\\]|\\\\|\\n|\\")*$/.test(rest)) fail(line, "has a wrong escape")
      if (what === "UNIT" && (!isOpen || !name.endsWith(rest) || rest === "")) fail(line, "is no unit of the name")
      if (name !== current && families.has(name)) fail(line, "goes back to a family")
      current = name
      const known = families.get(name)
      if (known === undefined) families.set(name, { type: what === "TYPE" ? rest : "", samples: [] })
      else if (what === "TYPE") known.type = rest
      continue
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s.exec(line)
    if (sample === null) return fail(line, "is no sample")
    const [, name = "", labelText = "", valueText = ""] = sample
    const family = families.get(current) ?? fail(line, "has no family")
    const base = !isOpen && family.type === "counter" ? current.replace(/_total$/, "") : current
    if (!suffixes[family.type]?.some((suffix) => base + suffix === name)) fail(line, `is not of ${current}`)
    const labels: Record<string, string> = {}
    const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/gy
    let end = 0
    for (const [all, key = "", text = ""] of labelText.matchAll(label)) {
      if (Object.hasOwn(labels, key)) fail(line, "has a label twice")
      if (key.startsWith("__")) fail(line, "has a label of Prometheus' own")
      labels[key] = text
      end += all.length
    }
    if (end !== labelText.length || labelText.endsWith(",")) fail(line, "has labels that cannot be read")
    const identity = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
    if (series.has(identity)) fail(line, "is there twice")
    series.add(identity)
    if (!/^([+-]?Inf|NaN|-?\d+(\.\d+)?(e[+-]\d+)?)$/.test(valueText)) fail(line, "has no number")
    const value = Number(valueText.replace("Inf", "Infinity"))
    family.samples.push({ name, labels, value })
    if (isOpen && family.type === "counter" && !(value >= 0)) fail(line, "is a counter below 0")
  }
  for (const [name, family] of families) {
    if (family.type === "") fail(name, "has no type")
    if (family.type === "histogram") checkHistogram(name, family.samples, fail)
  }
  return families
}

const checkHistogram = (name: string, samples: ReadonlyArray<Sample>, fail: (line: string, why: string) => never) => {
  const last = new Map<string, { le: number; value: number }>()
  const counts = new Map<string, number>()
  for (const { labels, name: sample, value } of samples) {
    const { le, ...rest } = labels
    const key = JSON.stringify(Object.entries(rest).sort())
    if (sample === `${name}_bucket`) {
      const bound = Number(le?.replace("Inf", "Infinity"))
      const before = last.get(key)
      if (before !== undefined && !(bound > before.le)) fail(name, `has a bucket ${le} after ${before.le}`)
      if (before !== undefined && value < before.value) fail(name, "has buckets that fall")
      last.set(key, { le: bound, value })
    } else if (sample === `${name}_count`) counts.set(key, value)
  }
  for (const [key, { le, value }] of last) {
    if (le !== Number.POSITIVE_INFINITY) fail(name, "has no bucket +Inf")
    if (counts.has(key) && counts.get(key) !== value) fail(name, "has a count that is not its last bucket")
  }
}
