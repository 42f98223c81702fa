import type { Tables } from "./Tables.js"

/**
 * The first schema: never changed once released, only followed by another. What follows from an event, the version of its
 * stream and the terms that it is found by, is kept by triggers: so a store is one statement, and a removal too.
 */
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
    metadata TEXT NOT NULL,
    terms TEXT NOT NULL
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
  ) STRICT, WITHOUT ROWID`,
  `CREATE TRIGGER ${events}_moves AFTER INSERT ON ${events} WHEN new.stream IS NOT NULL BEGIN
    INSERT INTO ${streams} (name, version) VALUES (new.stream, new.version)
      ON CONFLICT (name) DO UPDATE SET version = excluded.version;
  END`,
  // Two fields of one event may have one term by chance.
  `CREATE TRIGGER ${events}_found AFTER INSERT ON ${events} WHEN new.terms <> '[]' BEGIN
    INSERT OR IGNORE INTO ${terms} (term, position) SELECT value, new.position FROM json_each(new.terms);
  END`,
  `CREATE TRIGGER ${events}_forgotten AFTER DELETE ON ${events} WHEN old.terms <> '[]' BEGIN
    DELETE FROM ${terms} WHERE position = old.position AND term IN (SELECT value FROM json_each(old.terms));
  END`
]

/**
 * The third schema: triggers that resolve conflicts themselves, whatever the statement says that fires them, and in which
 * nothing can end a statement halfway: see `sqliteTexts`.
 */
export const sqliteTriggers = ({ events, streams, terms }: Tables): ReadonlyArray<string> => [
  `DROP TRIGGER ${events}_moves`,
  `CREATE TRIGGER ${events}_moves AFTER INSERT ON ${events} WHEN new.stream IS NOT NULL BEGIN
    INSERT INTO ${streams} (name, version) VALUES (new.stream, new.version) ON CONFLICT (name) DO NOTHING;
    UPDATE ${streams} SET version = new.version WHERE name = new.stream;
  END`,
  `DROP TRIGGER ${events}_found`,
  `CREATE TRIGGER ${events}_found AFTER INSERT ON ${events} WHEN new.terms <> '[]' BEGIN
    INSERT INTO ${terms} (term, position) SELECT value, new.position FROM json_each(new.terms) WHERE true
      ON CONFLICT (term, position) DO NOTHING;
  END`
]
