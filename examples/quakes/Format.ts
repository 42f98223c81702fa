/** How words stand out. Without colour they read the same. */
export type Style = Record<"bold" | "dim" | "red" | "green" | "yellow" | "cyan", (text: string) => string>

const code = (start: number, end: number) => (text: string) => `\u001b[${start}m${text}\u001b[${end}m`

export const coloured: Style = {
  bold: code(1, 22),
  dim: code(2, 22),
  red: code(31, 39),
  green: code(32, 39),
  yellow: code(33, 39),
  cyan: code(36, 39)
}

const same = (text: string) => text

export const plain: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same }

/** 1707 as 1,707. */
export const count = (value: number): string => value.toLocaleString("en-US")

/** Milliseconds, with as many digits as say something. */
export const millis = (value: number): string => `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`

/** Milliseconds as 12.3s. */
export const seconds = (value: number): string => `${(value / 1000).toFixed(1)}s`
