import * as Schema from "effect/Schema"

/** A field that may be left out. Exact, so that a wrong value is not told as "expected undefined" besides. */
export const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** Values of the schema for which `problem` does not answer what they must be. */
export const mustBe = <A, I>(schema: Schema.Schema<A, I>, problem: (value: A) => string | undefined) =>
  schema.pipe(
    Schema.filter((value) => {
      const must = problem(value)
      return must === undefined ? undefined : `must be ${must}`
    })
  )
