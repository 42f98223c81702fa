/**
 * Fails where the tests did not all run: `tsx scripts/nothing-skipped.ts <report of vitest's json reporter>`.
 */
import { readFileSync } from "node:fs"

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly status: string }>
  }>
}

const report: Report = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"))
const tests = report.testResults.flatMap(({ name, assertionResults }) =>
  assertionResults.map(({ fullName, status }) => ({ name: `${name}: ${fullName}`, status }))
)
const notRun = tests.filter(({ status }) => status !== "passed" && status !== "failed")

for (const { name, status } of notRun) console.error(`${status}: ${name}`)
console.log(`${tests.length - notRun.length} of ${tests.length} tests ran`)
if (tests.length === 0 || notRun.length > 0) process.exitCode = 1
