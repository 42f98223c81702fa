import { readFileSync } from "node:fs"

/** Whether a process runs, or is frozen. One that has ended and that nobody has reaped (state Z) does neither. */
export const isAlive = (pid: number | undefined): boolean => {
  if (pid === undefined) return false
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    // Elsewhere than on Linux.
    return process.platform !== "linux"
  }
}
