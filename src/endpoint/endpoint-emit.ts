/** `endpoint.emit`: an event, by itself or in a transaction of the application. */
import { optionsContradict } from '../base/errors.ts';
import { digestOf } from '../base/digest.ts';
import type { EventData } from '../base/options/events-options.ts';
import { type EmitOptions, eventIdOf } from '../durable/events/emitting.ts';
import { type EventText, WAITS_MS } from '../durable/events/event-store.ts';
import { EMITS } from '../session/record/record-kinds.ts';
import { textsOf } from '../stores/kernel/row-texts.ts';
import { livingRow } from '../stores/kernel/row-value.ts';
import type { NewRecord } from '../stores/store.ts';
import type { Core } from './core.ts';

/** A client of `pg`, in a transaction. */
export interface PgTransaction {
  query(text: string, values?: unknown[]): Promise<unknown>;
}

/** A connection to the file of the store, in a transaction: `node:sqlite`, better-sqlite3, libsql. */
export interface SqliteTransaction {
  prepare(sql: string): { run(...values: unknown[]): unknown };
}

export interface EmitInOptions extends EmitOptions {
  /**
   * A connection with an open transaction to the database of the store: PostgreSQL, or the file of SQLite. The event is
   * stored if the transaction commits, and not if it rolls back.
   */
  readonly tx?: PgTransaction | SqliteTransaction | undefined;
  /** With `tx`: the schema of the store in PostgreSQL. Default `sojourn`. */
  readonly schema?: string | undefined;
}

const INSERT =
  'INSERT INTO rows (space, id, version, fence, wake, data, share, stamp, bytes, body) ' +
  'VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, 0, ?)';

export function endpointEmit(core: Core) {
  return async (name: string, data: EventData, options: EmitInOptions = {}): Promise<string> => {
    const { events } = core;
    if (events === undefined)
      throw optionsContradict('emit() needs the option events, which has the types of events');
    const { tx, schema = 'sojourn' } = options;
    const record = events.emitting.recordOf(name, data, options, tx !== undefined);
    if (tx === undefined) {
      await core.ready();
      await events.emitting.emit(record);
    } else if ('query' in tx) await emitInPostgres(tx, schema, core.options.deployment, record);
    else emitInSqlite(tx, core.options.deployment, record, core.options.timeProvider.now());
    return eventIdOf(record);
  };
}

async function emitInPostgres(
  tx: PgTransaction,
  schema: string,
  deployment: string,
  { body, user }: NewRecord,
): Promise<void> {
  const { n, d, i, t } = JSON.parse(body) as EventText;
  const emit = `"${schema.replaceAll('"', '""')}".emit`;
  const values = [n, JSON.stringify(d), i, user, t, deployment];
  await tx.query(`SELECT ${emit}($1, $2::json, $3, $4, $5, $6)`, values);
}

/** The row that `create` of the kernel makes. */
function emitInSqlite(
  tx: SqliteTransaction,
  deployment: string,
  record: NewRecord,
  now: number,
): void {
  const times = { expiresAt: now + WAITS_MS, dueAt: null, rung: 0 };
  const row = livingRow({ ...record, share: null, ...times }, null);
  const { body, data } = textsOf(row);
  const space = digestOf(JSON.stringify([deployment, EMITS.name])).readUIntBE(0, 6);
  tx.prepare(INSERT).run(space, row.id, row.version, row.fence, row.wakeAt, data, body);
}
