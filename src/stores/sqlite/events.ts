/** The event log in the file: an append takes its place in its stream (`streams.ts`), then adds a row. */
import { afterTurn } from '../../options/system.ts';
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, MaybePromise, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import { bundlePlace, unbundled } from './bundle-rows.ts';
import { eventRows, keptEvents, type ReplayRow } from './event-rows.ts';
import type { Ledger } from './ledger.ts';
import { PendingAppend } from './pending-append.ts';
import { SQL } from './statements.ts';
import type { StoreFile } from './store-file.ts';
import { Streams } from './streams.ts';
import { WholeStreams } from './whole-streams.ts';
import type { Kind } from './writer.ts';

/**
 * Looking whether a session holds more than it keeps walks its log. So an append looks with a chance that is its part of
 * what is kept: on average once in as many events as are kept, which makes the walk a small constant per event, whatever the
 * retention. Until then the file holds more than is kept, up to twice on average.
 */
const LIKELIEST = 1 / 16;
/** Rows looked at in one transaction by the sweep: about a millisecond. */
const TRIM_BATCH = 256;

/** `SQL.rowUpTo`. */
type LastRow = readonly [no: number, at: number];
const NO_ROW: LastRow = [0, 0];

export class SqliteEvents implements EventStore, Kind<PendingAppend, WriteOutcome> {
  readonly #file: StoreFile;
  readonly #ledger: Ledger;
  readonly #streams: Streams;
  readonly #wholes: WholeStreams;
  readonly #retention: EventRetention | false;
  /** Appends of this turn, by their streams. */
  readonly #waiting = new Map<string, PendingAppend>();
  /** How many of the writes of the file are appends of this view. */
  #written = 0;
  /** Up to this row of the table, while it is there, nothing of this deployment is too old. */
  #trimmed: LastRow = NO_ROW;
  #appended = 0;

  constructor(file: StoreFile, ledger: Ledger, retention: EventRetention | false) {
    this.#file = file;
    this.#ledger = ledger;
    this.#streams = new Streams(ledger);
    this.#wholes = new WholeStreams(ledger);
    this.#retention = retention;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const after = this.#file.writes - this.#written;
    // Nothing follows in a stream that is whole.
    const key = request.from === 0 && request.complete === true ? undefined : `${request.sessionId}\n${request.stream}`;
    const waiting = key === undefined ? undefined : this.#waiting.get(key);
    if (waiting?.outcome !== undefined && waiting.join(request, after)) return waiting.outcome;
    const pending = new PendingAppend(request, after);
    this.#written += 1;
    pending.outcome = this.#file.writeAs(this, pending);
    if (key !== undefined) this.#mayGoOn(key, pending);
    return pending.outcome;
  }

  /** Until the turn ends. */
  #mayGoOn(key: string, pending: PendingAppend): void {
    if (this.#waiting.size === 0) afterTurn(() => this.#waiting.clear());
    this.#waiting.set(key, pending);
  }

  /** Appends that follow each other, within a transaction. */
  run(appends: readonly PendingAppend[]): readonly WriteOutcome[] {
    if (this.#waiting.size > 0) this.#waiting.clear();
    const outcomes: WriteOutcome[] = [];
    while (outcomes.length < appends.length) {
      const first = outcomes.length;
      for (let added = this.#addWholes(appends, first); added > 0; added--) outcomes.push('written');
      const append = appends[outcomes.length];
      if (outcomes.length === first && append !== undefined) outcomes.push(this.#append(append) ? 'written' : 'fenced');
    }
    return outcomes;
  }

  replay(sessionId: string, stream: string, after: number): MaybePromise<ReplayOutcome> {
    const { database } = this.#ledger;
    return this.#file.read(() => database.snapshot(() => this.#replay(sessionId, stream, after)));
  }

  open(sessionId: string): MaybePromise<readonly OpenStreamInfo[]> {
    const { database, deployment, clock } = this.#ledger;
    return this.#file.read(() =>
      database
        .all<[string, number, string | null]>(SQL.openStreams, [deployment, sessionId, clock.wall()])
        .map(([stream, next, requests]) => ({ stream, next, requests })),
    );
  }

  /** Batch by batch, so that calls go between. */
  async trim(): Promise<void> {
    while (await this.#trimEvents()) await turn();
    while (await this.#trimEnded()) await turn();
  }

  /** The table is in the order of writing: everything before the first row that is young enough is too old. */
  async #trimEvents(): Promise<boolean> {
    if (this.#retention === false) return false;
    const { database, deployment, clock } = this.#ledger;
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
   * SQLite gives the number of the last row again once that is deleted. So the row that the last trim stopped at must be the
   * same: then every row before it has been there since. Otherwise the table is looked at from its start.
   */
  #firstToTrim(): number {
    const [no, at] = this.#trimmed;
    const found = this.#ledger.database.one<LastRow>(SQL.rowUpTo, [no]);
    return found?.[0] === no && found[1] === at ? no : 0;
  }

  /** Of all deployments of the file. */
  async #trimEnded(): Promise<boolean> {
    const { database, clock } = this.#ledger;
    const values = [clock.wall(), TRIM_BATCH];
    return (await this.#file.write(() => database.change(SQL.trimEnded, values).changes)) === TRIM_BATCH;
  }

  #addWholes(appends: readonly PendingAppend[], first: number): number {
    const retention = this.#retention;
    if (retention === false) return 0;
    const added = this.#wholes.add(appends, first);
    for (let n = first; n < first + added; n++) {
      const append = appends[n];
      if (append !== undefined && this.#isTimeToTrim(append.events, retention)) this.#trimSession(append, retention);
    }
    return added;
  }

  #append(append: PendingAppend): boolean {
    const retention = this.#retention;
    if (retention === false) return this.#streams.markOnly(append);
    const session = this.#streams.place(append);
    if (session === undefined) return false;
    const { database, clock } = this.#ledger;
    for (const { position, n, bytes, data } of eventRows(append.from, append.events))
      database.run(SQL.addEvents, [session, append.stream, position, n, bytes, clock.wall(), data]);
    if (this.#isTimeToTrim(append.events, retention)) this.#trimSession(append, retention);
    return true;
  }

  #isTimeToTrim(events: readonly string[], retention: EventRetention): boolean {
    let length = 0;
    for (const event of events) length += event.length;
    return (
      spread(++this.#appended) <
      Math.max(Math.min(events.length / retention.events, LIKELIEST), length / retention.bytes)
    );
  }

  #trimSession({ sessionId, fence }: PendingAppend, { events, bytes }: EventRetention): void {
    const session = this.#ledger.fenced(sessionId, fence);
    if (session !== undefined) this.#ledger.database.run(SQL.trimSession, [session, events, bytes]);
  }

  #replay(sessionId: string, stream: string, after: number): ReplayOutcome {
    const { database, deployment, clock } = this.#ledger;
    const retention = this.#retention;
    const now = clock.wall();
    const values = [deployment, sessionId, now, stream];
    const found = database.one<[session: number, next: number | null]>(SQL.streamOf, values);
    if (found === undefined || retention === false) return { found: false, why: 'unknown' };
    const [session, openNext] = found;
    const rows = database.all<ReplayRow>(SQL.replay, [session, stream]);
    if (rows.length === 0 && openNext === null) rows.push(...this.#bundled(session, stream));
    const kept = keptEvents(rows, retention, now);
    const first = kept[0]?.offset;
    if (first === undefined && openNext === null) return { found: false, why: 'unknown' };
    const next = openNext ?? (kept.at(-1)?.offset ?? 0) + 1;
    if ((first ?? next) > after + 1) return { found: false, why: 'gap', first: first ?? next };
    const events = kept.filter(({ offset }) => offset > after);
    return { found: true, events, next, complete: openNext === null };
  }

  #bundled(session: number, stream: string): readonly ReplayRow[] {
    const { name, number } = bundlePlace(stream);
    if (name === '') return [];
    const row = this.#ledger.database.one<ReplayRow>(SQL.replayBundle, [session, name, number]);
    return row === undefined ? [] : unbundled(row, number);
  }
}

/** 0 to 1 for each number in turn, evenly: no session of several that write in turns is passed over for ever. */
const spread = (no: number): number => (Math.imul(no, 0x9e3779b1) >>> 0) / 2 ** 32;

const turn = (): Promise<void> => new Promise((next) => afterTurn(next));
