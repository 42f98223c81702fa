import { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { ConfigError } from "effect-foundation/FoundationError"
import { failureOf, type Kind } from "effect-foundation/internal/Sql/Failure"
import { failing, guarded, insisting } from "effect-foundation/internal/Sql/Guard"

const coded = (code: string, message = "said the driver") => Object.assign(new Error(message), { code })

describe("what a driver fails with", () => {
  it("is told by its code, however deep it is wrapped", () => {
    const cases: ReadonlyArray<readonly [code: string, kind: Kind]> = [
      ["ECONNREFUSED", "unreachable"],
      ["57P01", "unreachable"],
      ["25P03", "unreachable"],
      ["28P01", "denied"],
      ["40P01", "locked"],
      ["SQLITE_BUSY_SNAPSHOT", "locked"],
      ["53100", "full"],
      ["42P01", "schema"],
      ["22P02", "invalid"],
      ["54000", "invalid"],
      ["SELF_SIGNED_CERT_IN_CHAIN", "unreachable"],
      ["ERR_TLS_CERT_ALTNAME_INVALID", "unreachable"],
      ["constructor", "other"],
      ["XY999", "other"]
    ]
    for (const [code, kind] of cases) {
      const wrapped = new SqlError({ message: "Failed", cause: new Error("outer", { cause: coded(code) }) })
      expect(failureOf(wrapped), code).toMatchObject({ kind })
    }
  })

  it("quotes no value that was refused, and nothing that looks like a credential", () => {
    for (const error of [
      coded("22P02", 'invalid input syntax for type integer: "4111 1111"'),
      coded("P0001", "password=hunter2"),
      coded("ECONNREFUSED", "connect postgres://root:hunter2@host/db")
    ]) {
      expect(JSON.stringify(failureOf(error))).not.toMatch(/hunter2|4111/)
    }
  })
})

describe("a mistake in work on the database", () => {
  it.effect("is a defect still, and no failure of the database", () =>
    Effect.gen(function* () {
      const mistakes = [
        new TypeError("x is undefined"),
        coded("ERR_INVALID_ARG_TYPE"),
        new ConfigError({ reason: "invalid_value", message: "no" })
      ]
      for (const mistake of mistakes) {
        for (const run of [failing, guarded, insisting]) {
          const exit = yield* Effect.exit(run(Effect.die(mistake)))
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(mistake)
        }
      }
    })
  )

  it.effect("is told from what the driver throws", () =>
    Effect.gen(function* () {
      const error = new SqlError({ message: "Failed", cause: coded("SQLITE_FULL") })
      for (const thrown of [error, coded("SQLITE_FULL"), coded("ECONNRESET"), coded("40001")]) {
        expect(yield* Effect.flip(failing(Effect.die(thrown)))).toHaveProperty("transient", true)
      }
    })
  )
})
