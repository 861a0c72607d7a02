/** The event log in the file. An append is accepted by its stream (`streams.ts`), then adds a row. */
import { afterTurn } from '../../options/system.ts';
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, MaybePromise, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import { replayOutcome } from '../shared/replay-outcome.ts';
import { TrimChance } from '../shared/trim-chance.ts';
import { eventRows, storedAppends, type ReplayRow } from './event-rows.ts';
import type { SqliteSessionTable } from './session-table.ts';
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

export class SqliteEvents implements EventStore, WriteHandler<PendingAppend, WriteOutcome> {
  readonly #file: StoreFile;
  readonly #table: SqliteSessionTable;
  readonly #streams: StreamTable;
  readonly #retention: EventRetention | false;
  /** Appends of this turn, by session and stream. */
  readonly #waiting = new Map<string, PendingAppend>();
  /** How many of the file's writes are appends of this view. */
  #written = 0;
  /** While this row exists, all rows of this deployment up to it are young enough. */
  #trimmed: LastRow = NO_ROW;
  readonly #trimChance = new TrimChance();

  constructor(file: StoreFile, table: SqliteSessionTable, retention: EventRetention | false) {
    this.#file = file;
    this.#table = table;
    this.#streams = new StreamTable(table);
    this.#retention = retention;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const after = this.#file.writes - this.#written;
    // An append that completes its stream at once has no followers.
    const key = request.from === 0 && request.complete === true ? undefined : `${request.sessionId}\n${request.stream}`;
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

  replay(sessionId: string, stream: string, after: number): MaybePromise<ReplayOutcome> {
    const { database } = this.#table;
    return this.#file.read(() => database.snapshot(() => this.#replay(sessionId, stream, after)));
  }

  open(sessionId: string): MaybePromise<readonly OpenStreamInfo[]> {
    const { database, deployment, clock } = this.#table;
    return this.#file.read(() =>
      database
        .all<[string, number, string | null]>(SQL.openStreams, [deployment, sessionId, clock.wall()])
        .map(([stream, next, requests]) => ({ stream, next, requests })),
    );
  }

  /** Deletes in batches, so that calls run in between. */
  async trim(): Promise<void> {
    while (await this.#trimEvents()) await turn();
    while (await this.#trimEnded()) await turn();
  }

  /** The table is in the order of writing, so every row before the first young one is too old. */
  async #trimEvents(): Promise<boolean> {
    if (this.#retention === false) return false;
    const { database, deployment, clock } = this.#table;
    const after = await this.#file.read(() => this.#firstToTrim());
    const oldest = clock.wall() - this.#retention.ttlMs;
    const [last, young] = await this.#file.read(
      () => database.one<[last: number | null, young: number]>(SQL.oldRows, [after, oldest, TRIM_BATCH]) ?? [null, 0],
    );
    if (last === null || last <= after) return false;
    this.#trimmed = await this.#file.write(() => {
      database.run(SQL.trimEvents, [after, last, oldest, deployment]);
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

  /** For all deployments of the file. */
  async #trimEnded(): Promise<boolean> {
    const { database, clock } = this.#table;
    const values = [clock.wall(), TRIM_BATCH];
    return (await this.#file.write(() => database.change(SQL.trimEnded, values).changes)) === TRIM_BATCH;
  }

  #append(append: PendingAppend): boolean {
    const retention = this.#retention;
    if (retention === false) return this.#streams.markOnly(append);
    const session = this.#streams.accept(append);
    if (session === undefined) return false;
    const { database, clock } = this.#table;
    let written = 0;
    for (const { position, n, bytes, data } of eventRows(append.from, append.events)) {
      database.run(SQL.addEvents, [session, append.stream, position, n, bytes, clock.wall(), data]);
      written += bytes;
    }
    if (this.#trimChance.isDue(append.events.length, written, retention)) this.#trimSession(append, retention);
    return true;
  }

  #trimSession({ sessionId, fence }: PendingAppend, { events, bytes }: EventRetention): void {
    const session = this.#table.fenced(sessionId, fence);
    if (session !== undefined) this.#table.database.run(SQL.trimSession, [session, events, bytes]);
  }

  #replay(sessionId: string, stream: string, after: number): ReplayOutcome {
    const { database, deployment, clock } = this.#table;
    const retention = this.#retention;
    const now = clock.wall();
    const values = [deployment, sessionId, now, stream];
    const found = database.one<[session: number, next: number | null]>(SQL.streamOf, values);
    if (found === undefined || retention === false) return { found: false, why: 'unknown' };
    const [session, openNext] = found;
    const rows = database.all<ReplayRow>(SQL.replay, [session, stream]);
    return replayOutcome(storedAppends(rows, retention.ttlMs, now), retention, openNext ?? undefined, after);
  }
}

const turn = (): Promise<void> => new Promise((next) => afterTurn(next));
