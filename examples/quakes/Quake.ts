import { createRequire } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { FileSystem } from "@effect/platform"
import type { PlatformError } from "@effect/platform/Error"
import { Array, DateTime, Effect, Order, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"

/** A quake as the USGS publishes it: https://earthquake.usgs.gov/earthquakes/feed/v1.0/geojson.php */
export const Feature = Schema.Struct({
  id: Schema.NonEmptyString,
  properties: Schema.Struct({
    mag: Schema.NullOr(Schema.Number),
    place: Schema.NullOr(Schema.String),
    time: Schema.Int,
    type: Schema.String
  }),
  geometry: Schema.Struct({ coordinates: Schema.Tuple(Schema.Number, Schema.Number, Schema.Number) })
})
export type Feature = typeof Feature.Type

/** A quake as this service knows it. Two of the same content are equal. */
export class Quake extends Schema.Class<Quake>("Quake")({
  id: Schema.NonEmptyString,
  /** Most are earthquakes; the instruments hear explosions and quarry blasts, too. */
  kind: Schema.String,
  /** Nothing, where the network has not computed one yet; below zero, for the smallest. */
  magnitude: Schema.NullOr(Schema.Number),
  place: Schema.String,
  time: Schema.DateTimeUtcFromNumber,
  latitude: Schema.Number,
  longitude: Schema.Number,
  depth: Schema.Number
}) {
  static fromFeature({ id, properties, geometry }: Feature): Quake {
    const [longitude, latitude, depth] = geometry.coordinates
    return new Quake({
      id,
      kind: properties.type,
      magnitude: properties.mag,
      place: properties.place ?? "an unnamed place",
      time: DateTime.unsafeMake(properties.time),
      latitude,
      longitude,
      depth
    })
  }

  /** The country, state or sea: "Taiwan" of "22km NNE of Hualian, Taiwan". */
  get region(): string {
    return this.place.slice(this.place.lastIndexOf(",") + 1).trim()
  }

  /** Whether a threshold of this magnitude asks for an alert. */
  isStrong(threshold: number): boolean {
    return this.magnitude !== null && this.magnitude >= threshold
  }
}

const entry = createRequire(import.meta.url).resolve("vega-datasets")
const file = fileURLToPath(new URL("../data/earthquakes.json", pathToFileURL(entry)))

const decodeWeek = Schema.decode(Schema.parseJson(Schema.Struct({ features: Schema.Array(Feature) })), {
  onExcessProperty: "preserve"
})

/** All quakes of a week of 2018, oldest first: the feed that the package vega-datasets has kept. */
export const week: Effect.Effect<
  ReadonlyArray<Feature>,
  PlatformError | ParseError,
  FileSystem.FileSystem
> = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const { features } = yield* fs.readFileString(file).pipe(Effect.flatMap(decodeWeek))
  return Array.sort(
    features,
    Order.mapInput(Order.number, (feature: Feature) => feature.properties.time)
  )
})
