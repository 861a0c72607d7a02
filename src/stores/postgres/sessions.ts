/** Session records in rows. Every write is one statement that checks the fence on the row that it has locked. */
import type { EndReason } from '../../types.ts';
import { idOf } from '../shared/cursor.ts';
import {
  RECORD_VERSION,
  type ClaimOutcome,
  type EndedSession,
  type ExpiredSession,
  type Fence,
  type Marker,
  type NewRecord,
  type Ownership,
  type RecordChange,
  type SessionPage,
  type StoredRecord,
  type SessionStore,
  type WriteOutcome,
  isEnded,
} from '../store.ts';
import { Append } from './append.ts';
import type { Operation } from './batch.ts';
import type { PgResult, Row, Step } from './pg.ts';
import type { PostgresReader } from './reader.ts';
import { EXPIRES_IN, MARKERS, createValues, readSession, saveOf } from './record-rows.ts';
import type { SessionStatements } from './session-statements.ts';
import type { PostgresWriter } from './writer.ts';

export interface PostgresSessionsOptions {
  readonly deployment: string;
  readonly place: string;
  readonly reader: Pick<PostgresReader, 'query'>;
  readonly writer: PostgresWriter;
  readonly statements: SessionStatements;
  readonly tombstoneMs: number;
}

export class PostgresSessions implements SessionStore {
  readonly #options: PostgresSessionsOptions;

  constructor(options: PostgresSessionsOptions) {
    this.#options = options;
  }

  create(record: NewRecord, expiresInMs: number | null = null): Promise<'created' | 'exists'> {
    const { deployment, tombstoneMs, statements } = this.#options;
    const step: Step = [statements.create, createValues(deployment, record, expiresInMs, tombstoneMs)];
    return this.#operate(record.id, [step], ([made]) => (made?.rows.length === 1 ? 'created' : 'exists'));
  }

  async read(id: string): Promise<StoredRecord | EndedSession | undefined> {
    const { deployment, place, reader, statements, tombstoneMs } = this.#options;
    for (;;) {
      const [row] = (await reader.query(statements.record, [deployment, id, tombstoneMs])).rows;
      if (row === undefined) return undefined;
      const { value, expiring } = readSession(row, place);
      if (!expiring) return value;
      // The expiry is stored before the caller learns it. An owner that extends the expiry at this moment is refused,
      // or the loop reads its extension.
      await reader.query(statements.expire, [deployment, id]);
    }
  }

  async claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    const { deployment, place, writer, tombstoneMs } = this.#options;
    const row = await writer.claim(deployment, { kind: 'claim', session: id, from, me, tombstoneMs });
    if (row === undefined) return { claimed: false, current: undefined };
    const { value, expiring } = readSession(row, place);
    if (expiring) return { claimed: false, current: await this.read(id) };
    // The stored owner shows whether the claim was won, now or before its reply was lost.
    if (isEnded(value) || value.owner !== me || value.epoch !== from.epoch + 1)
      return { claimed: false, current: value };
    const left = row[EXPIRES_IN];
    const expiresInMs = left === null || left === undefined ? null : Number(left);
    return { claimed: true, record: value, markers: markersOf(row), expiresInMs };
  }

  save(id: string, fence: Fence, change: RecordChange): Promise<WriteOutcome> {
    return this.#save(id, fence, change, false);
  }

  release(id: string, fence: Fence, change: RecordChange = {}): Promise<WriteOutcome> {
    return this.#save(id, fence, change, true);
  }

  /** The first call that ends an expired session answers `'ended'`, so that exactly one caller reports the end. */
  end(id: string, { epoch, owner }: Ownership, reason: EndReason): Promise<'ended' | 'fenced' | 'gone'> {
    const { deployment, statements, tombstoneMs } = this.#options;
    const steps: Step[] = [
      [statements.end, [deployment, id, reason, tombstoneMs, RECORD_VERSION, epoch, owner]],
      [statements.living, [deployment, id]],
    ];
    const outcome = ([ended, living]: readonly PgResult[]): 'ended' | 'fenced' | 'gone' => {
      if (ended?.rowCount === 1) return 'ended';
      return living?.rows.length === 1 ? 'fenced' : 'gone';
    };
    return this.#operate(id, steps, outcome);
  }

  mark(id: string, fence: Fence, marker: Marker, clear = false): Promise<WriteOutcome> {
    const { deployment, writer } = this.#options;
    return writer.append(deployment, Append.ofMarks(id, fence, clear ? { unmark: marker } : { mark: marker }));
  }

  /** In the order of their ids. */
  async list(limit: number, cursor?: string): Promise<SessionPage> {
    const { deployment, place, reader, statements } = this.#options;
    // A cursor needs a further session, so that the last page has no cursor.
    const { rows } = await reader.query(statements.list, [deployment, idOf(cursor), limit + 1]);
    const living = rows.map((row) => readSession(row, place).value);
    const records = living.slice(0, limit).filter((value): value is StoredRecord => !isEnded(value));
    const last = living[limit - 1];
    return rows.length > limit && last !== undefined ? { records, nextCursor: last.id } : { records };
  }

  async count(): Promise<number> {
    const { deployment, reader, statements } = this.#options;
    return Number((await reader.query(statements.count, [deployment])).rows[0]?.[0]);
  }

  async expired(limit: number): Promise<readonly ExpiredSession[]> {
    const { deployment, reader, statements } = this.#options;
    const { rows } = await reader.query(statements.expired, [deployment, limit]);
    return rows.map(([id, epoch, owner]) => ({ id: id ?? '', epoch: Number(epoch), owner: owner ?? null }));
  }

  #save(id: string, { epoch, owner }: Fence, change: RecordChange, release: boolean): Promise<WriteOutcome> {
    const { deployment, statements } = this.#options;
    const { parts, values } = saveOf(change, release);
    const step: Step = [statements.save(parts), [deployment, id, epoch, owner, ...values]];
    return this.#operate(id, [step], ([saved]) => (saved?.rows.length === 1 ? 'written' : 'fenced'));
  }

  #operate<T>(session: string, steps: readonly Step[], outcome: Operation<T>['outcome']): Promise<T> {
    const { deployment, writer } = this.#options;
    return writer.operate(deployment, { kind: 'operation', session, steps, outcome });
  }
}

function markersOf(row: Row): readonly Marker[] {
  const markers = JSON.parse(row[MARKERS] ?? '[]') as Array<[request: string, stream: string]>;
  return markers.map(([request, stream]) => ({ request, stream }));
}
