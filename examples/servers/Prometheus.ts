import { type ChildProcess, spawn } from "node:child_process"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Data, Effect } from "effect"
import { freePort } from "./freePort.js"
import { makeGuard } from "./Guard.js"

/** How to get the programs, where they are not there. */
export const howToGetPrometheus =
  "prometheus and promtool are not on the PATH. Get them with: RUNLEVEL=1 apt-get install prometheus, or brew install prometheus"

/** Prometheus is not there, did not start, or does not answer. */
export class PrometheusFailed extends Data.TaggedError("PrometheusFailed")<{ readonly message: string }> {}

/** What a query answers: the labels of each series, and its value. */
export interface Answer {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [time: number, value: string]
}

export interface Target {
  readonly health: "up" | "down" | "unknown"
  readonly lastError: string
}

export interface PrometheusServer {
  readonly query: (query: string) => Effect.Effect<ReadonlyArray<Answer>, PrometheusFailed>
  readonly targets: Effect.Effect<ReadonlyArray<Target>, PrometheusFailed>
}

const ended = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** Starts a prometheus on loopback that scrapes the address each second. It ends with the scope. */
export const startPrometheus = (target: string) =>
  Effect.gen(function* () {
    const { directory, watch } = yield* makeGuard("prometheus")
    const port = yield* freePort
    const file = join(directory, "prometheus.yml")
    const config = {
      // No scrape may take longer than the interval: on a busy machine half a second is short.
      global: { scrape_interval: "1s", scrape_timeout: "1s" },
      scrape_configs: [{ job_name: "app", static_configs: [{ targets: [target] }] }]
    }
    // YAML, as all JSON is.
    yield* Effect.promise(() => writeFile(file, JSON.stringify(config)))
    yield* Effect.acquireRelease(
      Effect.async<ChildProcess, PrometheusFailed>((resume) => {
        let said = ""
        const args = [
          `--config.file=${file}`,
          `--storage.tsdb.path=${join(directory, "data")}`,
          `--web.listen-address=127.0.0.1:${port}`
        ]
        const child = spawn("prometheus", args, { cwd: directory, stdio: ["ignore", "ignore", "pipe"] })
        watch(child.pid)
        child.on("error", () => resume(new PrometheusFailed({ message: howToGetPrometheus })))
        child.on("exit", () => {
          watch(undefined)
          resume(new PrometheusFailed({ message: `Prometheus did not start: ${said}` }))
        })
        child.stderr.on("data", (chunk) => {
          said = (said + chunk).slice(-4000)
          if (said.includes("Server is ready")) resume(Effect.succeed(child))
        })
      }),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.kill("SIGKILL")),
          ended(child)
        )
    )
    const ask = <A>(path: string) =>
      Effect.tryPromise({
        try: async (signal): Promise<A> => {
          const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`, { signal })
          const { data, error, status } = (await response.json()) as { data: A; status: string; error?: string }
          if (status !== "success") throw new Error(error)
          return data
        },
        catch: (error) => new PrometheusFailed({ message: String(error) })
      })
    const server: PrometheusServer = {
      query: (query) =>
        Effect.map(
          ask<{ readonly result: ReadonlyArray<Answer> }>(`query?query=${encodeURIComponent(query)}`),
          ({ result }) => result
        ),
      targets: Effect.map(
        ask<{ readonly activeTargets: ReadonlyArray<Target> }>("targets"),
        ({ activeTargets }) => activeTargets
      )
    }
    return server
  })
