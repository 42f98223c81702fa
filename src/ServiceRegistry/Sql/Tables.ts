/** The names that a registry has in a database. The prefix is valid, so that they can stand in a text as they are. */
export interface Tables {
  /** Names and memberships: one row each. */
  readonly registry: string
  /** The processes, each with its lease. */
  readonly nodes: string
  /** Why registrations have ended, for an hour. */
  readonly ends: string
  readonly migrations: string
  /** PostgreSQL: the sequence that gives the tokens, and the function that notifies. */
  readonly token: string
  readonly notify: string
  /** SQLite: a count of all changes. */
  readonly changes: string
}

export const tablesOf = (prefix: string): Tables => ({
  registry: `${prefix}_registry`,
  nodes: `${prefix}_registry_nodes`,
  ends: `${prefix}_registry_ends`,
  migrations: `${prefix}_registry_migrations`,
  token: `${prefix}_registry_token`,
  notify: `${prefix}_registry_notify`,
  changes: `${prefix}_registry_changes`
})
