/** The labels and the value of one series, at one moment. */
interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const sampleLine = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g

/** What a program tells of itself at `/metrics`, read from the text format of Prometheus. */
export class Scrape {
  private readonly samples = new Map<string, Array<Sample>>()

  constructor(text: string) {
    for (const line of text.split("\n")) {
      const [, name, labelText = "", value = ""] = sampleLine.exec(line) ?? []
      if (name === undefined) continue
      const labels: Record<string, string> = {}
      for (const [, key = "", text = ""] of labelText.matchAll(label)) labels[key] = unescaped(text)
      const sample = { labels, value: Number(value.replace("Inf", "Infinity")) }
      this.samples.set(name, [...(this.samples.get(name) ?? []), sample])
    }
  }

  /** What the series of the name that have these labels add up to. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    let sum = 0
    for (const sample of this.samples.get(name) ?? []) {
      if (Object.entries(labels).every(([key, value]) => sample.labels[key] === value)) sum += sample.value
    }
    return sum
  }
}

const unescaped = (text: string): string => text.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter))
