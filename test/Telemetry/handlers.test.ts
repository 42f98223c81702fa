import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Handlers, problemOfSelector, type Selector, selects } from "../../src/Telemetry/Handlers.js"

describe("a selector", () => {
  it("takes the event of its name, the events under its prefix, or all", () => {
    expect(selects("http.request", "http.request")).toBe(true)
    expect(selects("http.request", "http.request.stop")).toBe(false)
    expect(selects("http.*", "http.request")).toBe(true)
    expect(selects("http.*", "http.request.stop")).toBe(true)
    expect(selects("http.*", "http")).toBe(false)
    expect(selects("http.*", "httpx.request")).toBe(false)
    expect(selects("*", "anything")).toBe(true)
    expect(selects(["db.query", "http.*"], "db.query")).toBe(true)
    expect(selects(["db.query", "http.*"], "db.query.stop")).toBe(false)
  })

  it.each([["a"], ["a.b"], ["*"], ["a.*"], ["a.b.*"], [["a", "b.*"]], [["*"]]] as ReadonlyArray<[Selector]>)(
    "can be %j",
    (selector) => {
      expect(problemOfSelector(selector)).toBeUndefined()
    }
  )

  it.each([
    [""],
    ["**"],
    ["a*"],
    ["a*b"],
    ["a.*.b"],
    ["*.a"],
    [".*"],
    ["a.**"],
    ["a.*.*"],
    [[]],
    [["a", ""]],
    [["a", "b*"]]
  ] as ReadonlyArray<[Selector]>)("cannot be %j, which would never match or not as it looks", (selector) => {
    expect(problemOfSelector(selector)).toMatch(/never match|\*/)
  })
})

describe("the table of handlers", () => {
  const name = fc.constantFrom("a", "a.b", "a.b.c", "b", "b.c", "c")
  const one = fc.constantFrom("a", "a.b", "a.*", "a.b.*", "b", "b.*", "*")
  const selector: fc.Arbitrary<Selector> = fc.oneof(one, fc.array(one, { minLength: 1, maxLength: 3 }))

  it("answers for every name what a scan of those attached would, after any attaching and detaching", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("add" as const), selector }),
      fc.record({ do: fc.constant("remove" as const), index: fc.nat(5) }),
      fc.record({ do: fc.constant("look" as const), name })
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const table = new Handlers<{ readonly selector: Selector }>()
        let attached: Array<{ readonly selector: Selector }> = []
        for (const step of steps) {
          if (step.do === "add") {
            const handler = { selector: step.selector }
            attached.push(handler)
            table.add(handler)
          } else if (step.do === "remove") {
            const handler = attached[step.index]
            if (handler === undefined) continue
            attached = attached.filter((other) => other !== handler)
            table.remove(handler)
          } else {
            expect(table.of(step.name)).toEqual(attached.filter((handler) => selects(handler.selector, step.name)))
          }
          expect(table.all).toEqual(attached)
        }
      })
    )
  })

  it("stays right past the number of names that it remembers", () => {
    const table = new Handlers<{ readonly selector: Selector }>()
    const handler = { selector: "n.*" }
    table.add(handler)
    for (let n = 0; n < 10_000; n++) expect(table.of(`n.${n}`)).toHaveLength(1)
    expect(table.of("n.0")).toEqual([handler])
    expect(table.of("m.0")).toEqual([])
  })
})
