import { functions } from './row-statements.ts';

/**
 * The tables, as numbered steps. A released step is never changed; a new step follows it.
 *
 * `breaking`: builds that do not know the step cannot work with its result. They refuse the schema. A breaking step
 * runs only while no instance of an older build has a lease. Any other step leaves every column and constraint that
 * older builds use unchanged.
 */
export interface Migration {
  readonly breaking: boolean;
  /** `schema`: quoted. */
  sql(schema: string): string;
}

/**
 * * `spaces`: the name of each key: the records of one kind in a deployment. The key is a hash of the name, so
 *   that it is the same after a loss of data.
 * * `rows` and `log`: what `kernel/backend.ts` calls rows and entries. `fence` is null where a record has ended. `data`
 *   changes with each put, `body` only with a new log (`kernel/row-texts.ts`).
 * * `messages`: their receiver reads and deletes them. `tx` is the transaction that wrote the message: a reader skips
 *   the transactions that its last read has seen. Unlogged: a crash of the server empties the table, which is a
 *   lost connection for all instances anyway.
 *
 * Columns with short names: `no` a number, `v` the format, `tx` a transaction. Times are ms since 1970.
 */
const first = (s: string): string => `
CREATE TABLE ${s}.spaces (
  key bigint PRIMARY KEY,
  name text NOT NULL
);

CREATE TABLE ${s}.rows (
  space bigint NOT NULL,
  version bigint NOT NULL,
  wake double precision,
  id text COLLATE "C" NOT NULL,
  fence text COLLATE "C",
  data text NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (space, id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX rows_by_wake ON ${s}.rows (space, wake, id) WHERE wake IS NOT NULL;

CREATE TABLE ${s}.log (
  space bigint NOT NULL,
  no bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  stream text COLLATE "C" NOT NULL,
  head text NOT NULL,
  data text NOT NULL,
  PRIMARY KEY (space, id, no)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE UNLOGGED TABLE ${s}.messages (
  mailbox bigint NOT NULL,
  no bigint NOT NULL,
  tx bigint NOT NULL DEFAULT txid_current(),
  v smallint NOT NULL,
  sender text NOT NULL,
  body text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX messages_by_look ON ${s}.messages (mailbox, tx);
${functions(s)}`;

/** In order; the first has number 1. */
export const MIGRATIONS: readonly Migration[] = [{ breaking: true, sql: first }];

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
