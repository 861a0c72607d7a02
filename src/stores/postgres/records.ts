/** Records in rows. Every write is one statement that checks the fence on the row that it has locked. */
import { idOf, placesOf } from '../shared/cursor.ts';
import { groupOf, rangeOf } from '../shared/groups.ts';
import { checkDroppable } from '../shared/kinds.ts';
import {
  type AddOutcome,
  type ClaimOutcome,
  type CreateOutcome,
  type DropOutcome,
  type DueRecord,
  type EndOutcome,
  type Fence,
  type FoundRecord,
  isEnded,
  type Mark,
  type NewRecord,
  type OpenStream,
  type Ownership,
  type RecordChange,
  type RecordPage,
  type Records,
  type SaveOutcome,
  type Seen,
  type StoredRecord,
} from '../store.ts';
import type { Operation } from './batch.ts';
import type { PgResult, Row, Step } from './pg.ts';
import { EXPIRES_IN, MARKS, STREAMS, createValues, readRecord, saveOf } from './record-rows.ts';
import { PostgresLog, type PostgresLogOptions } from './record-log.ts';
import type { PostgresReader } from './reader.ts';
import type { RecordStatements } from './record-statements.ts';

/** The time and the number before those of every record. */
const FIRST_PAGE = ['-Infinity', '0'] as const;

export interface PostgresRecordsOptions extends PostgresLogOptions {
  readonly place: string;
  readonly statements: PostgresLogOptions['statements'] & RecordStatements;
  /**
   * Creates and saves leases. Not in the writer's queue, where a locked row of another record could delay them for
   * longer than they last. Their ends are stored durably, and neither wait there.
   */
  readonly leaseConnection?: Pick<PostgresReader, 'query'>;
}

export class PostgresRecords extends PostgresLog implements Records {
  readonly #options: PostgresRecordsOptions;

  constructor(options: PostgresRecordsOptions) {
    super(options);
    this.#options = options;
  }

  create(record: NewRecord, expiresInMs: number | null = null, dueInMs: number | null = null): Promise<CreateOutcome> {
    const { space, kind, statements } = this.#options;
    groupOf(kind, record.id);
    const step: Step = [statements.create, createValues(space, record, kind.keepMs, expiresInMs, dueInMs)];
    return this.#operate(record.id, [step], ([made]) => (made?.rows.length === 1 ? 'created' : 'exists'), true);
  }

  async read(id: string): Promise<FoundRecord> {
    const { space, place, reader, statements, kind } = this.#options;
    for (;;) {
      const [row] = (await reader.query(statements.record, [space, id, kind.keepMs])).rows;
      if (row === undefined) return undefined;
      const { value, expiring } = readRecord(row, place);
      if (!expiring) return value;
      // The expiry is stored before the caller learns it. An owner that extends the expiry at this moment is refused,
      // or the loop reads its extension.
      await reader.query(statements.expire, [space, id]);
    }
  }

  async claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    const { space, place, writer, kind } = this.#options;
    const row = await writer.write(space, { kind: 'claim', id, from, me, keepMs: kind.keepMs });
    if (row === undefined) return { claimed: false, current: undefined };
    const { value, expiring } = readRecord(row, place);
    if (expiring) return { claimed: false, current: await this.read(id) };
    // The stored owner shows whether the claim was won, now or before its reply was lost.
    if (isEnded(value) || value.owner !== me || value.epoch !== from.epoch + 1)
      return { claimed: false, current: value };
    const left = row[EXPIRES_IN];
    const expiresInMs = left === null || left === undefined ? null : Number(left);
    return { claimed: true, record: value, marks: marksOf(row), streams: streamsOf(row), expiresInMs };
  }

  save(id: string, fence: Fence, change: RecordChange): Promise<SaveOutcome> {
    const { space, statements } = this.#options;
    const { parts, values } = saveOf(change);
    const step: Step = [statements.save(parts), [space, id, fence.epoch, fence.owner, ...values]];
    return this.#operate(
      id,
      [step],
      ([saved]) => {
        const row = saved?.rows[0];
        return row === undefined ? 'fenced' : row[0] === 't' ? 'rung' : 'written';
      },
      true,
    );
  }

  add(id: string, field: string, text: string): Promise<AddOutcome> {
    const { space, statements } = this.#options;
    const steps: Step[] = [
      [statements.add, [space, id, field, text]],
      [statements.addable, [space, id]],
    ];
    return this.#operate(id, steps, ([added, living]) => {
      if (added?.rowCount === 1) return 'added';
      return living?.rows.length === 1 ? 'exists' : 'gone';
    });
  }

  /** The first call that ends an expired record answers `'ended'`, so that exactly one caller reports the end. */
  end(
    id: string,
    { epoch, owner, atStamp }: Seen,
    outcome: string,
    keepMs = this.#options.kind.keepMs,
  ): Promise<EndOutcome> {
    const { space, statements, kind } = this.#options;
    const steps: Step[] = [
      [statements.end, [space, id, outcome, keepMs, kind.keepMs, epoch, owner, atStamp ?? null]],
      [statements.living, [space, id]],
    ];
    const answer = ([ended, living]: readonly PgResult[]): EndOutcome => {
      if (ended?.rowCount === 1) return 'ended';
      return living?.rows.length === 1 ? 'fenced' : 'gone';
    };
    return this.#operate(id, steps, answer);
  }

  async drop(id: string, endedAt: number): Promise<DropOutcome> {
    const { space, statements, kind } = this.#options;
    checkDroppable(kind);
    const step: Step = [statements.drop, [space, id, endedAt]];
    return this.#operate(id, [step], ([dropped]) => (dropped?.rowCount === 1 ? 'dropped' : 'gone'));
  }

  /** In the order of their ids. */
  async list(limit: number, cursor?: string, group?: string): Promise<RecordPage> {
    const { space, place, reader, statements, kind } = this.#options;
    const [after, before] = group === undefined ? [idOf(cursor)] : rangeOf(kind, group, idOf(cursor));
    const values = [space, after, limit + 1, ...(before === undefined ? [] : [before])];
    // A cursor needs a further record, so that the last page has no cursor.
    const { rows } = await reader.query(before === undefined ? statements.list : statements.listGroup, values);
    const living = rows.map((row) => readRecord(row, place).value);
    const records = living.slice(0, limit).filter((value): value is StoredRecord => !isEnded(value));
    const last = living[limit - 1];
    return rows.length > limit && last !== undefined ? { records, nextCursor: last.id } : { records };
  }

  async count(group?: string): Promise<number> {
    const { space, reader, statements, kind } = this.#options;
    const { rows } =
      group === undefined
        ? await reader.query(statements.countAll, [space])
        : await reader.query(statements.countGroup, [space, ...rangeOf(kind, group)]);
    return Number(rows[0]?.[0]);
  }

  async due(limit: number, cursor?: string): Promise<RecordPage<DueRecord>> {
    const { space, reader, statements } = this.#options;
    const { rows } = await reader.query(statements.due, [space, ...(placesOf(cursor) ?? FIRST_PAGE), limit]);
    const records = rows.map(([id, epoch, owner, expired]) => {
      return { id: id ?? '', epoch: Number(epoch), owner: owner ?? null, expired: expired === 't' };
    });
    const last = rows.at(-1);
    return rows.length < limit || last === undefined ? { records } : { records, nextCursor: `${last[4]} ${last[5]}` };
  }

  /** `quick`: of a lease, on its own connection. */
  async #operate<T>(id: string, steps: readonly Step[], outcome: Operation<T>['outcome'], quick = false): Promise<T> {
    const { space, writer, reader, leaseConnection } = this.#options;
    if (leaseConnection === undefined) return writer.write(space, { kind: 'operation', id, steps, outcome });
    const results: PgResult[] = [];
    for (const step of steps) results.push(await (quick ? leaseConnection : reader).query(...step));
    return outcome(results);
  }
}

function marksOf(row: Row): readonly Mark[] {
  const marks = JSON.parse(row[MARKS] ?? '[]') as Array<[name: string, stream: string]>;
  return marks.map(([name, stream]) => ({ name, stream }));
}

function streamsOf(row: Row): readonly OpenStream[] {
  const streams = JSON.parse(row[STREAMS] ?? '[]') as Array<[stream: string, next: number, note: string | null]>;
  return streams.map(([stream, next, note]) => ({ stream, next, note }));
}
