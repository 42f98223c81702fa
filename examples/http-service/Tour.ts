import { FileSystem } from "@effect/platform"
import { Array, Console, Effect, Fiber } from "effect"
import type { Places } from "./Service.js"

/** A request, as curl takes it and as it is sent here, and what is to be answered. */
export interface Stop {
  readonly title: string
  readonly url: string
  readonly method?: "GET" | "POST" | "PUT"
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly status: number
  /** How many times it is sent; of the answers the last is shown. */
  readonly times?: number
  /** Which lines of the body are shown: all, where not given. */
  readonly grep?: string
}

/** The command that does the same. */
export const curl = ({ body, grep, headers = {}, method, times = 1, url }: Stop): string => {
  const options = [
    ...(method === undefined ? [] : [`-X ${method}`]),
    ...Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`),
    ...(body === undefined ? [] : [`-d '${JSON.stringify(body)}'`])
  ]
  const command = ["curl", grep === undefined ? "-i" : "-s", ...options, `'${url}'`].join(" ")
  if (grep !== undefined) return `${command} | grep ${grep}`
  return times === 1 ? command : `for n in $(seq ${times}); do ${command}; done`
}

/** What there is to try, in an order in which each answer follows from those before. */
export const stops = ({ api, provider }: Places): ReadonlyArray<Stop> => {
  const at = (path: string) => String(new URL(path, api))
  const mood = (mood: string) => String(new URL(`/mood/${mood}`, provider))
  const wish = { customer: "ada", item: "tea", cents: 450 }
  const place = (id: string, status: number) => ({
    status,
    method: "POST" as const,
    url: at("/orders"),
    headers: { "idempotency-key": id },
    body: wish
  })
  const ship = (status: number) => ({
    status,
    method: "POST" as const,
    url: at("/orders/o-1/shipment"),
    body: { carrier: "post" }
  })
  return [
    { title: "An order, charged and stored", ...place("o-1", 201) },
    { title: "Sent again under its key, it is the same one", ...place("o-1", 201) },
    { title: "It is shipped", ...ship(204) },
    { title: "But not twice", ...ship(409) },
    { title: "What has happened to it", url: at("/orders/o-1"), status: 200 },
    {
      title: "What cannot be is a problem, under the id that the client gives",
      ...place("o-2", 400),
      headers: { "x-correlation-id": "ticket-42" },
      body: { ...wish, cents: -1 }
    },
    { title: "The payment provider begins to fail", method: "PUT", url: mood("fails"), status: 200 },
    { title: "So orders fail", ...place("o-3", 502) },
    {
      title: "Until the circuit opens: then they fail at once, and say when to come again",
      ...place("o-3", 503),
      times: 2
    },
    { title: "The service is ready nevertheless, and says what is wrong", url: at("/health"), status: 200 },
    { title: "The provider works again", method: "PUT", url: mood("works"), status: 200 },
    { title: "Past the limit, there is nothing", url: at("/orders?limit=1"), status: 429, times: 25 },
    { title: "What it has counted", url: at("/metrics"), status: 200, grep: "shop_request_duration_seconds_count" }
  ]
}

const shown = ["location", "retry-after", "ratelimit", "ratelimit-policy", "x-correlation-id", "content-type"]

const send = ({ body, headers = {}, method = "GET", url }: Stop) =>
  Effect.promise(async (signal) => {
    const sent = { method, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const response = await fetch(url, sent)
    return { response, text: await response.text() }
  })

const visit = (stop: Stop) =>
  Effect.gen(function* () {
    yield* Console.log(`\n# ${stop.title}\n$ ${curl(stop)}`)
    const answers = yield* Effect.replicateEffect(send(stop), stop.times ?? 1)
    const { response, text } = Array.unsafeGet(answers, answers.length - 1)
    if (response.status !== stop.status) {
      return yield* Effect.dieMessage(`It answers ${response.status}, and should ${stop.status}: ${text}`)
    }
    const lines = text.trimEnd().split("\n")
    if (stop.grep !== undefined)
      return yield* Console.log(lines.filter((line) => line.startsWith(`${stop.grep}`)).join("\n"))
    yield* Console.log(`HTTP/1.1 ${response.status} ${response.statusText}`)
    for (const name of shown) {
      const value = response.headers.get(name)
      if (value !== null) yield* Console.log(`${name}: ${value}`)
    }
    if (text !== "")
      yield* Console.log(`
${text.trimEnd()}`)
  })

/** Sends all of it, changes the limit as an operator does, and shuts the service down, and shows what is answered. */
export const tour = (places: Places, config: string, service: Fiber.Fiber<unknown, unknown>) =>
  Effect.gen(function* () {
    for (const stop of stops(places)) yield* visit(stop)

    yield* Console.log(
      `\n# An operator changes the limit\n$ sed -i.bak 's/maxRequests: 20/maxRequests: 200/' ${config}`
    )
    const fs = yield* FileSystem.FileSystem
    yield* fs.writeFileString(config, (yield* fs.readFileString(config)).replace("maxRequests: 20", "maxRequests: 200"))
    const one = {
      title: "A moment later there is more",
      url: String(new URL("/orders?limit=1", places.api)),
      status: 200
    }
    yield* send(one).pipe(
      Effect.delay("50 millis"),
      Effect.repeat({ until: ({ response }) => response.status === 200 })
    )
    yield* visit(one)

    yield* Console.log("\n# On SIGTERM it is not ready at once")
    const ended = yield* Effect.fork(Fiber.interrupt(service))
    const health = {
      title: "A balancer sends nothing more here",
      url: String(new URL("/health", places.api)),
      status: 503
    }
    yield* send(health).pipe(
      Effect.delay("10 millis"),
      Effect.repeat({ until: ({ response }) => response.status === 503 })
    )
    yield* visit(health)
    yield* Fiber.join(ended)
    yield* Console.log("\nEnded, with nothing in flight")
  })
