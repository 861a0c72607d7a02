/** The event log in the file. An append is accepted by its stream (`streams.ts`), then adds a row. */
import { afterTurn } from '../../options/system.ts';
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, MaybePromise, ReplayOutcome, WriteOutcome } from '../store.ts';
import { replayOutcome } from '../shared/replay-outcome.ts';
import { TrimChance } from '../shared/trim-chance.ts';
import { eventRows, storedAppends, type ReplayRow } from './event-rows.ts';
import type { SqliteRecordTable } from './record-table.ts';
import { PendingAppend } from './pending-append.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';
import { StreamTable } from './streams.ts';
import type { WriteHandler } from './writer.ts';

/** Rows that the sweep reads in one transaction: about a millisecond. */
const TRIM_BATCH = 256;

/** A row of `SQL.rowUpTo`. */
type LastRow = readonly [no: number, at: number];
const NO_ROW: LastRow = [0, 0];

export class SqliteLog implements WriteHandler<PendingAppend, WriteOutcome> {
  readonly #file: StoreFile;
  readonly #table: SqliteRecordTable;
  readonly #streams: StreamTable;
  readonly #retention: EventRetention | false;
  /** Appends of this turn, by record and stream. */
  readonly #waiting = new Map<string, PendingAppend>();
  /** How many of the file's writes are appends of this view. */
  #written = 0;
  /** While this row exists, all rows of this kind up to it are young enough. */
  #trimmed: LastRow = NO_ROW;
  readonly #trimChance = new TrimChance();

  constructor(file: StoreFile, table: SqliteRecordTable) {
    this.#file = file;
    this.#table = table;
    this.#streams = new StreamTable(table);
    this.#retention = table.kind.log;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const after = this.#file.writes - this.#written;
    // An append that completes its stream at once has no followers.
    const key = request.from === 0 && request.complete === true ? undefined : `${request.id}\n${request.stream}`;
    const waiting = key === undefined ? undefined : this.#waiting.get(key);
    if (waiting?.outcome !== undefined && waiting.join(request, after)) return waiting.outcome;
    const pending = new PendingAppend(request, after);
    pending.outcome = this.#file.writeWith(this, pending);
    this.#written += 1;
    if (key !== undefined) this.#allowJoining(key, pending);
    return pending.outcome;
  }

  /** Lets later appends of this turn join `pending`. */
  #allowJoining(key: string, pending: PendingAppend): void {
    if (this.#waiting.size === 0) afterTurn(() => this.#waiting.clear());
    this.#waiting.set(key, pending);
  }

  /** Consecutive appends, within a transaction. From here on, no append joins another. */
  run(appends: readonly PendingAppend[]): readonly WriteOutcome[] {
    if (this.#waiting.size > 0) this.#waiting.clear();
    return appends.map((append) => (this.#append(append) ? 'written' : 'fenced'));
  }

  replay(id: string, stream: string, after: number): MaybePromise<ReplayOutcome> {
    const { database } = this.#table;
    return this.#file.read(() => database.snapshot(() => this.#replay(id, stream, after)));
  }

  /** Deletes in batches, so that calls run in between. */
  async trim(): Promise<void> {
    while (await this.#trimEvents()) await turn();
    if (!this.#table.kind.listed) while (await this.#trimExpired()) await turn();
    while (await this.#trimEnded()) await turn();
  }

  /** The table is in the order of writing, so every row before the first young one is too old. */
  async #trimEvents(): Promise<boolean> {
    if (this.#retention === false) return false;
    const { database, space, clock } = this.#table;
    const after = await this.#file.read(() => this.#firstToTrim());
    const oldest = clock.wall() - this.#retention.ttlMs;
    const [last, young] = await this.#file.read(
      () => database.one<[last: number | null, young: number]>(SQL.oldRows, [after, oldest, TRIM_BATCH]) ?? [null, 0],
    );
    if (last === null || last <= after) return false;
    this.#trimmed = await this.#file.write(() => {
      database.run(SQL.trimEvents, [after, last, oldest, space]);
      return database.one<LastRow>(SQL.rowUpTo, [last]) ?? NO_ROW;
    });
    return young === 0;
  }

  /**
   * SQLite reuses the number of the last row after its deletion. If the row at which the last trim stopped is
   * unchanged, all rows before it are old ones. Otherwise the search begins at the start of the table.
   */
  #firstToTrim(): number {
    const [no, at] = this.#trimmed;
    const found = this.#table.database.one<LastRow>(SQL.rowUpTo, [no]);
    return found?.[0] === no && found[1] === at ? no : 0;
  }

  async #trimExpired(): Promise<boolean> {
    const { database, space, kind, clock } = this.#table;
    const values = [space, clock.wall() - kind.keepMs, TRIM_BATCH];
    return (await this.#file.write(() => database.change(SQL.trimExpired, values).changes)) === TRIM_BATCH;
  }

  /** For all records of the file. */
  async #trimEnded(): Promise<boolean> {
    const { database, clock } = this.#table;
    const values = [clock.wall(), TRIM_BATCH];
    return (await this.#file.write(() => database.change(SQL.trimEnded, values).changes)) === TRIM_BATCH;
  }

  #append(append: PendingAppend): boolean {
    const retention = this.#retention;
    if (retention === false) return this.#streams.markOnly(append);
    const record = this.#streams.accept(append);
    if (record === undefined) return false;
    const { database, clock } = this.#table;
    let written = 0;
    for (const { position, n, bytes, data } of eventRows(append.from, append.events)) {
      database.run(SQL.addEvents, [record, append.stream, position, n, bytes, clock.wall(), data]);
      written += bytes;
    }
    if (this.#trimChance.isDue(append.events.length, written, retention)) this.#trimRecord(append, retention);
    return true;
  }

  #trimRecord({ id, fence }: PendingAppend, { events, bytes }: EventRetention): void {
    const record = this.#table.fenced(id, fence);
    if (record !== undefined) this.#table.database.run(SQL.trimRecord, [record, events, bytes]);
  }

  #replay(id: string, stream: string, after: number): ReplayOutcome {
    const { database, space, clock } = this.#table;
    const retention = this.#retention;
    const now = clock.wall();
    const values = [space, id, now, stream];
    const found = database.one<[record: number, next: number | null]>(SQL.streamOf, values);
    if (found === undefined || retention === false) return { found: false, why: 'unknown' };
    const [record, openNext] = found;
    const rows = database.all<ReplayRow>(SQL.replay, [record, stream]);
    return replayOutcome(storedAppends(rows, retention.ttlMs, now), retention, openNext ?? undefined, after);
  }
}

const turn = (): Promise<void> => new Promise((next) => afterTurn(next));
