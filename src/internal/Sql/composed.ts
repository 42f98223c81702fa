import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import type * as SqlClient from "@effect/sql/SqlClient"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import * as ConfigSql from "../../Config/Sql.js"
import * as EventsSql from "../../Events/Sql.js"
import { Foundation } from "../../Foundation.js"
import type { ConfigError } from "../../FoundationError.js"
import * as ServiceRegistrySql from "../../ServiceRegistry/Sql.js"

/** What the compositions on a database share, beside the layers that are to be used in place of their own. */
export interface Options extends Foundation.Replacements {
  /** What the names of all tables begin with: `"foundation"`. */
  readonly prefix?: string
  /** How long a call of the database may take: 5 seconds. */
  readonly deadline?: Duration.DurationInput
  /**
   * The address under which other processes reach this one: they see it where a fiber is registered here. Without it, only
   * addresses can be registered.
   */
  readonly advertise?: URL | string
}

/** The layers on the database, where the options do not replace them. */
const onDatabase = ({ advertise, deadline, durability, prefix }: Options & EventsSql.Options) => {
  const shared = { ...(prefix === undefined ? {} : { prefix }), ...(deadline === undefined ? {} : { deadline }) }
  return {
    config: Layer.provide(ConfigSql.layer({ ...shared, writable: true }), NodeFileSystem.layer),
    events: EventsSql.layer({ ...shared, ...(durability === undefined ? {} : { durability }) }),
    serviceRegistry: ServiceRegistrySql.layer({ ...shared, ...(advertise === undefined ? {} : { advertise }) })
  }
}

type OnDatabase = ReturnType<typeof onDatabase>

/** What a composition comes to: what is given, over what is on the database. */
type Composed<R> = Omit<OnDatabase, keyof R> & Pick<R, keyof R & keyof Foundation.Replacements>

/** The six services and the client, with the errors and needs of what is given in place of those on the database. */
export type Composition<R extends Foundation.Replacements, Client> =
  Composed<R> extends infer C extends Foundation.Replacements
    ? Layer.Layer<
        Foundation | Client,
        ConfigError | Foundation.ErrorOf<C>,
        Exclude<Foundation.NeedsOf<C>, Client | SqlClient.SqlClient>
      >
    : never

/** The six services on the database of the client, which is there for the program too. `more` is on neither. */
export const composed = <const R extends Options & EventsSql.Options, Client>(
  client: Layer.Layer<Client, ConfigError>,
  options: R,
  more: Foundation.Replacements = {}
): Composition<R, Client> => {
  // What is given as undefined is not given: it must not put what is in the process in place of what is in the database.
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const layer = Foundation.layer({ ...onDatabase(options), ...more, ...given } as Foundation.Replacements)
  // The types of the replacements are those of the signature, which the spread above has forgotten.
  return Layer.provideMerge(layer, client) as unknown as Composition<R, Client>
}
