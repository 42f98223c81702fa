export { CircuitBreaker } from "./CircuitBreaker.js"
export { Config } from "./Config.js"
export { CorrelationId } from "./CorrelationId.js"
export { Events } from "./Events.js"
export { Foundation, FoundationLive } from "./Foundation.js"
export {
  AlreadyRegistered,
  CircuitOpen,
  ConfigError,
  EventError,
  FoundationError,
  isFoundationError,
  OperationTimeout,
  RateLimited,
  RegistryError,
  ServiceNotFound,
  StoreUnavailable,
  VersionConflict
} from "./FoundationError.js"
export { RateLimiter } from "./RateLimiter.js"
export { Retry } from "./Retry.js"
export { ServiceRegistry } from "./ServiceRegistry.js"
export { Telemetry } from "./Telemetry.js"
