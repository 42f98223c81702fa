import * as fc from "fast-check"

/**
 * Properties try the same cases in every run, so that a test which begins to fail names the change that made it.
 * `SEED=<integer> npm test` tries others.
 */
fc.configureGlobal({ seed: Number.parseInt(process.env.SEED ?? "20260101", 10) })
