import { ConfigError } from "../../FoundationError.js"

export const invalidOption = (path: string, problem: string): ConfigError =>
  new ConfigError({ reason: "invalid_value", path, message: `${path} ${problem}` })
