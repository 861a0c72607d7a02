/**
 * The sessions of workers that share no store: their records are in a file, the log of a live session is in the memory
 * of its owner. So a call of a live session writes nothing to the file.
 *
 *     record alone ──create, claim──▶ live, with a log here ──release──▶ record, and its log handed over
 *                                          └──its owner dies──▶ ended by the next claim
 *
 * With the log of a dead owner it is lost which calls may have run: no other worker continues its sessions. So the log
 * needs no fence in the file: nothing but a release lets another worker write it.
 */
import type { LogEntry } from '../kernel/backend.ts';
import { LogState } from '../kernel/log-state.ts';
import type { KernelRecords } from '../kernel/records.ts';
import { after } from '../shared/after.ts';
import {
  type AddOutcome,
  type AppendRequest,
  type ClaimOutcome,
  type CreateOutcome,
  type DueRecord,
  type EndOutcome,
  type FoundRecord,
  isEnded,
  type Kind,
  type MaybePromise,
  type NewRecord,
  type Ownership,
  type RecordChange,
  type RecordPage,
  type Records,
  type ReplayOutcome,
  type SaveOutcome,
  type Seen,
  type SeenLiving,
  UNOWNED,
  type WriteOutcome,
} from '../store.ts';

/** The logs of sessions that were released: the body has the entries. */
export const HANDED_LOGS: Kind = { name: 'handedlogs', log: false, keepMs: 0, listed: false };

/** What an ended record says of a session whose owner died. */
const OWNER_LOST = 'owner_lost';
const NO_TEXTS = { v: 1, user: null, head: '', body: '', fields: {}, createdAt: 0, stamp: 0 };

export interface LogsHereParts {
  /** The sessions in the file. */
  readonly rows: Records;
  /** Of the kind `HANDED_LOGS`. */
  readonly handed: Records;
  /** Rows without texts, with the logs of live sessions. In the memory of this process. */
  readonly logs: KernelRecords;
}

export class LogsHere implements Records {
  readonly #rows: Records;
  readonly #handed: Records;
  readonly #logs: KernelRecords;
  /** The sessions whose logs are here, and their claims. */
  readonly #owned = new Map<string, Ownership>();

  constructor({ rows, handed, logs }: LogsHereParts) {
    this.#rows = rows;
    this.#handed = handed;
    this.#logs = logs;
  }

  async create(
    record: NewRecord,
    expiresInMs?: number | null,
    dueInMs?: number | null,
  ): Promise<CreateOutcome> {
    const outcome = await this.#rows.create(record, expiresInMs, dueInMs);
    if (outcome === 'created' && record.owner !== null) this.#keep(record, []);
    return outcome;
  }

  async claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    const isHere = this.#owned.has(id);
    if (!isHere && from.owner !== null && from.owner !== me) {
      await this.end(id, from, OWNER_LOST);
      return { claimed: false, current: await this.#rows.read(id) };
    }
    const outcome = await this.#rows.claim(id, from, me);
    if (!outcome.claimed) {
      this.#refused(id, from);
      return outcome;
    }
    const entries = isHere ? this.#logs.handOver(id) : await this.#takeHanded(id);
    this.#drop(id);
    this.#keep(outcome.record, entries);
    const { marks, streams } = LogState.of(entries);
    return { ...outcome, marks, streams };
  }

  save(id: string, fence: SeenLiving, change: RecordChange): MaybePromise<SaveOutcome> {
    const isReleased = change.release === true && this.#owned.has(id);
    const handed = isReleased ? this.#handOver(id, change.expiresInMs) : undefined;
    return after(handed, () =>
      after(this.#rows.save(id, fence, change), (outcome) => {
        if (outcome === 'fenced') this.#refused(id, fence);
        else if (isReleased) this.#drop(id);
        return outcome;
      }),
    );
  }

  async end(
    id: string,
    from: Seen,
    outcome: string,
    keepMs?: number,
    apart?: string,
  ): Promise<EndOutcome> {
    const ended = await this.#rows.end(id, from, outcome, keepMs, apart);
    if (ended === 'fenced') this.#refused(id, from);
    else if (this.#owned.has(id)) this.#drop(id);
    else await this.#takeHanded(id);
    return ended;
  }

  append(request: AppendRequest): MaybePromise<WriteOutcome> {
    return this.#logs.append(request);
  }

  replay(id: string, stream: string, from: number): MaybePromise<ReplayOutcome> {
    return this.#logs.replay(id, stream, from);
  }

  forget(id: string, stream: string): void {
    this.#logs.forget(id, stream);
  }

  async trim(): Promise<void> {
    await this.#logs.trim();
    await this.#handed.trim();
    await this.#rows.trim();
  }

  read(id: string): MaybePromise<FoundRecord> {
    return this.#rows.read(id);
  }

  add(id: string, field: string, text: string): MaybePromise<AddOutcome> {
    return this.#rows.add(id, field, text);
  }

  list(limit: number, cursor?: string, group?: string): MaybePromise<RecordPage> {
    return this.#rows.list(limit, cursor, group);
  }

  count(group?: string): MaybePromise<number> {
    return this.#rows.count(group);
  }

  countOf(share: string): MaybePromise<number> {
    return this.#rows.countOf(share);
  }

  oldest(share: string, most: number): MaybePromise<readonly string[]> {
    return this.#rows.oldest(share, most);
  }

  endedOf(share: string): MaybePromise<readonly string[]> {
    return this.#rows.endedOf(share);
  }

  due(limit: number, cursor?: string): MaybePromise<RecordPage<DueRecord>> {
    return this.#rows.due(limit, cursor);
  }

  /** The logs here count in no share: `limits.eventLogBytes` bounds them. */
  dropEvents(): number {
    return 0;
  }

  #keep({ id, epoch, owner, share = null }: NewRecord, entries: readonly LogEntry[]): void {
    this.#owned.set(id, { epoch, owner });
    void this.#logs.create({ ...NO_TEXTS, id, epoch, owner, share });
    if (entries.length > 0) this.#logs.adopt(id, entries);
  }

  /** What the file has refused under the claim of this process: another worker has ended the session. */
  #refused(id: string, from: Seen): void {
    const claim = this.#owned.get(id);
    if (claim === undefined || isEnded(from) || from.atStamp !== undefined) return;
    if (from.epoch === claim.epoch && from.owner === claim.owner) this.#drop(id);
  }

  #drop(id: string): void {
    const claim = this.#owned.get(id);
    if (claim === undefined) return;
    this.#owned.delete(id);
    void this.#logs.end(id, claim, '', 0);
  }

  /** The log of an earlier release may be there, if this process claimed the session again without it. */
  async #handOver(id: string, expiresInMs?: number | null): Promise<void> {
    const entries = this.#logs.handOver(id);
    if (entries.length === 0) return;
    const record = { ...NO_TEXTS, ...UNOWNED, id, body: JSON.stringify(entries) };
    while ((await this.#handed.create(record, expiresInMs)) === 'exists')
      await this.#handed.end(id, UNOWNED, '', 0);
  }

  async #takeHanded(id: string): Promise<readonly LogEntry[]> {
    const record = await this.#handed.read(id);
    if (record === undefined || isEnded(record)) return [];
    await this.#handed.end(id, UNOWNED, '', 0);
    return JSON.parse(record.body) as LogEntry[];
  }
}
