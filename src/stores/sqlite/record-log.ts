/** The event log in the file. An append is accepted by its stream (`appends.ts`), then adds a row. */
import { afterTurn } from '../../base/system.ts';
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, Fence, MaybePromise, ReplayOutcome, WriteOutcome } from '../store.ts';
import { JoinedAppend } from '../shared/joined-append.ts';
import { packEvents, unpackEvents } from '../shared/packed-events.ts';
import { replayOutcome, type StoredAppend } from '../shared/replay-outcome.ts';
import { TrimChance } from '../shared/trim-chance.ts';
import type { SqliteRecordTable } from './record-table.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';
import { StreamTable } from './appends.ts';

/** Rows that the sweep reads in one transaction: about a millisecond. */
const TRIM_BATCH = 256;

/** A row of `SQL.rowUpTo`. */
type LastRow = readonly [no: number, at: number];
const NO_ROW: LastRow = [0, 0];

/** An append that waits for the end of its turn. */
interface WaitingAppend {
  readonly append: JoinedAppend;
  readonly outcome: Promise<WriteOutcome>;
  /** The number of other writes before this append. Another write between two appends keeps them apart. */
  readonly after: number;
}

/** A row of `SQL.replay`: after it, `later` events with `laterBytes` bytes were appended to the record. */
type ReplayRow = readonly [position: number, n: number, at: number, later: number, laterBytes: number, data: string];

export class SqliteLog {
  readonly #file: StoreFile;
  readonly #table: SqliteRecordTable;
  readonly #streams: StreamTable;
  readonly #retention: EventRetention | false;
  /** Appends of this turn, by record and stream. */
  readonly #waiting = new Map<string, WaitingAppend>();
  /** How many of the file's writes are appends to streams of this view. */
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
    const append = JoinedAppend.of(request, this.#retention !== false);
    const key = `${request.id}\n${request.stream}`;
    const waiting = this.#waiting.get(key);
    if (waiting?.after === after && waiting.append.join(append)) return waiting.outcome;
    const outcome = this.#file.write(() => this.#run(append));
    // Marks alone keep appends apart, as any other write does.
    if (append.stream === null) return outcome;
    this.#written += 1;
    // An append that completes its stream at once has no followers.
    if (append.from > 0 || !append.complete) this.#allowJoining(key, { append, outcome, after });
    return outcome;
  }

  /** Lets later appends of this turn join. */
  #allowJoining(key: string, waiting: WaitingAppend): void {
    if (this.#waiting.size === 0) afterTurn(() => this.#waiting.clear());
    this.#waiting.set(key, waiting);
  }

  /** Within a transaction. From here on, no append joins another. */
  #run(append: JoinedAppend): WriteOutcome {
    if (this.#waiting.size > 0) this.#waiting.clear();
    return this.#append(append) ? 'written' : 'fenced';
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

  #append(append: JoinedAppend): boolean {
    const { id, fence, stream, from, events, bytes } = append;
    const retention = this.#retention;
    if (retention === false || stream === null) return this.#streams.markOnly(append);
    const record = this.#streams.accept(append, stream);
    if (record === undefined) return false;
    const { database, clock } = this.#table;
    const row = [record, stream, from, events.length, bytes, clock.wall(), packEvents(events)];
    if (events.length > 0) database.run(SQL.addEvents, row);
    if (this.#trimChance.isDue(events.length, bytes, retention)) this.#trimRecord(id, fence, retention);
    return true;
  }

  #trimRecord(id: string, fence: Fence, { events, bytes }: EventRetention): void {
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
    const appends = rows.toReversed().map(([from, n, at, later, laterBytes, data]): StoredAppend => {
      return { from, young: at + retention.ttlMs > now, later, laterBytes, events: unpackEvents(data, n) };
    });
    return replayOutcome(appends, retention, openNext ?? undefined, after);
  }
}

const turn = (): Promise<void> => new Promise((next) => afterTurn(next));
