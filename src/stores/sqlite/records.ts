/** Records in the file. Every write is one step of a transaction: it checks the fence, then changes the record. */
import { idOf, placesOf } from '../shared/cursor.ts';
import { groupOf, rangeOf } from '../shared/groups.ts';
import { checkDroppable } from '../shared/kinds.ts';
import type {
  AddOutcome,
  ClaimOutcome,
  CreateOutcome,
  DropOutcome,
  DueRecord,
  EndOutcome,
  Fence,
  FoundRecord,
  MaybePromise,
  NewRecord,
  Ownership,
  RecordChange,
  RecordPage,
  Records,
  SaveOutcome,
  Seen,
} from '../store.ts';
import { SqliteLog } from './record-log.ts';
import type { SqliteRecordTable, RecordLookup } from './record-table.ts';
import { changeRecord, heldRecord, keep, type RecordRow } from './record-rows.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';

export class SqliteRecords extends SqliteLog implements Records {
  readonly #file: StoreFile;
  readonly #table: SqliteRecordTable;

  constructor(file: StoreFile, table: SqliteRecordTable) {
    super(file, table);
    this.#file = file;
    this.#table = table;
  }

  create(record: NewRecord, expiresInMs: number | null = null, dueInMs: number | null = null): Promise<CreateOutcome> {
    groupOf(this.#table.kind, record.id);
    const kept = keep(record);
    return this.#file.write(() => (this.#table.create(kept, expiresInMs, dueInMs) ? 'created' : 'exists'));
  }

  read(id: string): MaybePromise<FoundRecord> {
    const look = this.#file.read(() => this.#table.lookup(id));
    return look instanceof Promise ? look.then((late) => this.#stored(id, late)) : this.#stored(id, look);
  }

  claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    return this.#file.write(() => this.#claim(id, from, me));
  }

  save(id: string, fence: Fence, change: RecordChange): Promise<SaveOutcome> {
    const { database, clock } = this.#table;
    const kept = keep(change);
    return this.#file.write(() => {
      const no = this.#table.fenced(id, fence);
      return no === undefined ? 'fenced' : changeRecord(database, no, kept, clock.wall());
    });
  }

  add(id: string, field: string, text: string): Promise<AddOutcome> {
    return this.#file.write(() => this.#table.add(id, field, text));
  }

  /** Answers `'ended'` once for an expired record, so that exactly one caller reports its end. */
  end(id: string, from: Seen, outcome: string, keepMs = this.#table.kind.keepMs): Promise<EndOutcome> {
    return this.#file.write(() => {
      const ownership = this.#table.ownership(id);
      if (ownership === undefined) return 'gone';
      const { epoch, owner, stamp } = ownership;
      if (epoch !== from.epoch || owner !== from.owner || stamp !== (from.atStamp ?? stamp)) return 'fenced';
      this.#table.end(id, ownership, outcome, keepMs);
      return 'ended';
    });
  }

  drop(id: string, endedAt: number): Promise<DropOutcome> {
    const { database, space, kind, clock } = this.#table;
    checkDroppable(kind);
    return this.#file.write(() => {
      const { changes } = database.change(SQL.dropEnded, [space, id, endedAt, clock.wall()]);
      return changes === 1 ? 'dropped' : 'gone';
    });
  }

  /** In the order of their ids. */
  list(limit: number, cursor?: string, group?: string): MaybePromise<RecordPage> {
    const { database, space, kind, clock } = this.#table;
    const after = idOf(cursor);
    const ids = group === undefined ? [after] : rangeOf(kind, group, after);
    const statement = group === undefined ? SQL.listRecords : SQL.listGroup;
    return this.#file.read(() => {
      // There is a cursor only if another record follows, so the last page has none.
      const rows = database.all<RecordRow>(statement, [space, ...ids, clock.wall(), limit + 1]);
      const records = rows.slice(0, limit).map((row) => heldRecord(row, database.path).record);
      const last = records.at(-1);
      return rows.length > limit && last !== undefined ? { records, nextCursor: last.id } : { records };
    });
  }

  count(group?: string): MaybePromise<number> {
    const { database, space, kind } = this.#table;
    const [statement, range] = group === undefined ? [SQL.countAll, []] : [SQL.countGroup, rangeOf(kind, group)];
    return this.#file.read(() => database.one<[number]>(statement, [space, ...range])?.[0] ?? 0);
  }

  due(limit: number, cursor?: string): MaybePromise<RecordPage<DueRecord>> {
    const { database, space, clock } = this.#table;
    const after = placesOf(cursor) ?? [-Number.MAX_VALUE, 0];
    const values = [space, clock.wall(), ...after, limit];
    return this.#file.read(() => {
      const rows = database.all<DueRow>(SQL.due, values);
      const records = rows.map(([, id, epoch, owner, , expired]) => ({ id, epoch, owner, expired: expired === 1 }));
      const last = rows.at(-1);
      return rows.length < limit || last === undefined ? { records } : { records, nextCursor: `${last[4]} ${last[0]}` };
    });
  }

  #stored(id: string, { value, unstored }: RecordLookup): MaybePromise<FoundRecord> {
    return unstored ? this.#file.write(() => this.#table.expire(id)) : value;
  }

  #claim(id: string, from: Ownership, me: string): ClaimOutcome {
    const table = this.#table;
    const held = table.held(id);
    if (held === undefined) return { claimed: false, current: table.ended(id) };
    const { epoch, owner, expiresAt } = held.record;
    if (table.expired({ expired: held.expired, expiresAt })) return { claimed: false, current: table.expire(id) };
    const replyLost = epoch === from.epoch + 1 && owner === me;
    const unchanged = epoch === from.epoch && owner === from.owner;
    if (!replyLost && !unchanged) return { claimed: false, current: held.record };
    if (unchanged) table.database.run(SQL.claim, [me, held.no]);
    const record = unchanged ? { ...held.record, epoch: epoch + 1, owner: me } : held.record;
    const expiresInMs = expiresAt === null ? null : expiresAt - table.clock.wall();
    return { claimed: true, record, marks: table.marks(held.no), streams: table.openStreams(held.no), expiresInMs };
  }
}

/** A row of `SQL.due`. */
type DueRow = readonly [no: number, id: string, epoch: number, owner: string | null, wakesAt: number, expired: number];
