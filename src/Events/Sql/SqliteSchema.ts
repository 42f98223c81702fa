import type { Tables } from "./Tables.js"

/** The first schema: never changed once released, only followed by another. */
export const sqliteTables = ({ events, streams, terms }: Tables): ReadonlyArray<string> => [
  `CREATE TABLE ${events} (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    stream TEXT,
    version INTEGER,
    timestamp INTEGER NOT NULL,
    correlation_id TEXT NOT NULL,
    causation_id TEXT,
    data TEXT NOT NULL,
    metadata TEXT NOT NULL
  ) STRICT`,
  `CREATE UNIQUE INDEX ${events}_id ON ${events} (id)`,
  `CREATE INDEX ${events}_type ON ${events} (type)`,
  `CREATE INDEX ${events}_stream ON ${events} (stream) WHERE stream IS NOT NULL`,
  `CREATE INDEX ${events}_correlation ON ${events} (correlation_id)`,
  `CREATE INDEX ${events}_causation ON ${events} (causation_id) WHERE causation_id IS NOT NULL`,
  `CREATE INDEX ${events}_timestamp ON ${events} (timestamp)`,
  `CREATE TABLE ${streams} (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE TABLE ${terms} (
    term INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (term, position)
  ) STRICT, WITHOUT ROWID`
]
