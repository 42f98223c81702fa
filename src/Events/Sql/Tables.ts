/** The names that an event log has in a database. The prefix is valid, so that they can stand in a text as they are. */
export interface Tables {
  readonly events: string
  /** The versions of the streams, which outlive their events. */
  readonly streams: string
  /** SQLite: the positions by what the fields of data and metadata are. */
  readonly terms: string
  readonly migrations: string
  /** PostgreSQL: the sequence that gives the positions, and the functions. */
  readonly position: string
  readonly append: string
  readonly putOne: string
  readonly putAll: string
  readonly head: string
}

export const tablesOf = (prefix: string): Tables => ({
  events: `${prefix}_events`,
  streams: `${prefix}_events_streams`,
  terms: `${prefix}_events_terms`,
  migrations: `${prefix}_events_migrations`,
  position: `${prefix}_events_position`,
  append: `${prefix}_events_append`,
  putOne: `${prefix}_events_put_one`,
  putAll: `${prefix}_events_put_all`,
  head: `${prefix}_events_head`
})

/** A text and its parameters. */
export interface Statement {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
  /** One plan does for all parameters: a database that can keep it may. */
  readonly keeps?: boolean
}
