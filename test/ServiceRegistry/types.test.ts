import { expectTypeOf, it } from "@effect/vitest"
import type { Effect, Fiber, Layer, Option, Scope, Stream } from "effect"
import type { AlreadyRegistered, ConfigError, RegistryError, ServiceNotFound } from "effect-foundation/FoundationError"
import { ServiceRegistry } from "effect-foundation/ServiceRegistry"
import type { Telemetry } from "effect-foundation/Telemetry"

it("each function states its failures and needs, and no more", () => {
  const fiber = {} as Fiber.RuntimeFiber<number, Error>
  const registering = () => ServiceRegistry.register("x", fiber, { a: 1 })
  expectTypeOf(registering).returns.toEqualTypeOf<
    Effect.Effect<ServiceRegistry.Registration, AlreadyRegistered | RegistryError, ServiceRegistry | Scope.Scope>
  >()
  const joining = () => ServiceRegistry.join("x", new URL("http://x"))
  expectTypeOf(joining).returns.toEqualTypeOf<
    Effect.Effect<ServiceRegistry.Member, RegistryError, ServiceRegistry | Scope.Scope>
  >()
  expectTypeOf(ServiceRegistry.lookup).returns.toEqualTypeOf<
    Effect.Effect<ServiceRegistry.Registration, ServiceNotFound | RegistryError, ServiceRegistry>
  >()
  expectTypeOf(ServiceRegistry.lookupOption).returns.toEqualTypeOf<
    Effect.Effect<Option.Option<ServiceRegistry.Registration>, RegistryError, ServiceRegistry>
  >()
  expectTypeOf(ServiceRegistry.waitFor).returns.toEqualTypeOf<
    Effect.Effect<ServiceRegistry.Registration, RegistryError, ServiceRegistry>
  >()
  expectTypeOf(ServiceRegistry.update).returns.toEqualTypeOf<
    Effect.Effect<ServiceRegistry.Registration, ServiceNotFound | RegistryError, ServiceRegistry>
  >()
  expectTypeOf(ServiceRegistry.pick).returns.toEqualTypeOf<
    Effect.Effect<ServiceRegistry.Member, ServiceNotFound | RegistryError, ServiceRegistry>
  >()
  expectTypeOf(ServiceRegistry.watch).returns.toEqualTypeOf<
    Stream.Stream<ServiceRegistry.Change, never, ServiceRegistry>
  >()
  expectTypeOf(ServiceRegistry.layer).toEqualTypeOf<Layer.Layer<ServiceRegistry, never, Telemetry>>()
  expectTypeOf(ServiceRegistry.layerMemory).returns.toEqualTypeOf<
    Layer.Layer<ServiceRegistry, ConfigError, Telemetry>
  >()
})

it("takes any running fiber, and no other fiber or value", () => {
  expectTypeOf<Fiber.RuntimeFiber<number, Error>>().toExtend<ServiceRegistry.Process>()
  expectTypeOf<Fiber.RuntimeFiber<never>>().toExtend<ServiceRegistry.Process>()
  expectTypeOf<Fiber.Fiber<number, Error>>().not.toExtend<ServiceRegistry.Process>()
  expectTypeOf<Effect.Effect<number>>().not.toExtend<ServiceRegistry.Process>()
})
