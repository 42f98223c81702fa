import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import { serviceRegistryContract } from "../contract/ServiceRegistry.js"

serviceRegistryContract("memory", ServiceRegistry.layer)
