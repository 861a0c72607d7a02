/**
 * Records on rows: who owns a record, when it expires, what its log says. Each step reads the row, or has it from its
 * last write, and names the version that it replaces. A step that another process overtook is done again.
 *
 * What this process has read or written is only a hint: the store refuses what is out of date. So a refusal that rests
 * on a hint is checked against the store before the caller gets it.
 *
 * The steps of one record run in the order of the calls. Appends follow each other without waiting, each with the next
 * number, and the next step follows them in the next trip. All other steps wait for the one before.
 */
import { isDeepStrictEqual } from 'node:util';
import { after } from '../shared/after.ts';
import { idOf, rangeOf } from '../shared/cursor.ts';
import {
  changedRecord,
  holdsChange,
  newRecord,
  rungRecord,
  saved,
  timeAfter,
} from '../shared/record-change.ts';
import { RecordQueues } from '../shared/record-queues.ts';
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
  type StoredRecord,
  type WriteOutcome,
} from '../store.ts';
import type { Backend, Row } from './backend.ts';
import { type KernelParts, KnownRecords } from './known-records.ts';
import { type Decide, type Decision, RowSteps } from './row-steps.ts';
import {
  endedRow,
  fencedRow,
  fits,
  isExpired,
  livingOf,
  livingRow,
  OVER,
  overRow,
  recordOf,
  shownOf,
} from './row-value.ts';
import { RowSweep } from './sweep.ts';

const TRIM_PAGE = 1_000;
/** Ids are visible ASCII, so all are before this. */
const LAST_ID = '\u007f';

/** A record may always end with so much. */
const SHORT_OUTCOME = 2_048;

const NO_ROW = { row: undefined };
const AGAIN = { fromLog: () => undefined };

export class KernelRecords implements Records {
  readonly #kind: Kind;
  readonly #backend: Backend;
  readonly #isAlone: boolean;
  readonly #known: KnownRecords;
  readonly #steps: RowSteps;
  readonly #sweep: RowSweep;

  constructor(parts: KernelParts) {
    this.#kind = parts.kind;
    this.#backend = parts.backend;
    this.#isAlone = parts.isAlone;
    const queues = new RecordQueues();
    this.#known = new KnownRecords(parts, queues);
    this.#steps = new RowSteps(parts, this.#known, queues);
    this.#sweep = new RowSweep(parts, this.#steps, this.#known);
  }

  create(
    record: NewRecord,
    expiresInMs: number | null = null,
    dueInMs: number | null = null,
  ): MaybePromise<CreateOutcome> {
    const { id } = record;
    // The caller may change its object while this waits.
    const kept = newRecord(record);
    const decide: Decide<CreateOutcome> = (row, now) => {
      if (shownOf(row, now, this.#kind) !== undefined) {
        const isMine = this.#steps.madeBefore(row, (value) =>
          isDeepStrictEqual(newRecord(value), kept),
        );
        return { answer: isMine ? 'created' : 'exists' };
      }
      if (countsElsewhere(row, kept))
        return { put: endedRow({ id, outcome: '', at: now }, now, null), clear: true, ...AGAIN };
      const made = {
        ...kept,
        expiresAt: timeAfter(expiresInMs, now),
        dueAt: timeAfter(dueInMs, now),
      };
      return { put: this.#row(made, now), clear: true, grows: true, answer: 'created' };
    };
    // A new record has no row, as a rule.
    return this.#steps.step(id, decide, () => (this.#steps.isUnsure(id) ? undefined : NO_ROW));
  }

  read(id: string): MaybePromise<FoundRecord> {
    return after(this.#backend.read(this.#kind, id), (row) =>
      after(this.#steps.now(), (now) => {
        const { put, answer } = this.#shown(row, now);
        return put === undefined
          ? answer
          : this.#steps.step(id, (seen, at) => this.#shown(seen, at));
      }),
    );
  }

  claim(id: string, from: Ownership, me: string): MaybePromise<ClaimOutcome> {
    return this.#steps.step<ClaimOutcome>(id, (row, now) => {
      const record = livingOf(row, now);
      if (row === undefined || record === undefined) {
        const { answer: current, ...put } = this.#shown(row, now);
        return { ...put, answer: { claimed: false, current } };
      }
      const isMine = record.epoch === from.epoch + 1 && record.owner === me;
      if (!isMine && !fits(record, from)) return { answer: { claimed: false, current: record } };
      // The claim whose answer was lost is answered now.
      if (isMine) this.#steps.wasMade(id, row);
      const mine = isMine ? row : this.#row({ ...record, epoch: record.epoch + 1, owner: me }, now);
      return { ...(!isMine && { put: mine }), fromLog: () => this.#claimed(mine, now) };
    });
  }

  save(id: string, fence: SeenLiving, change: RecordChange): MaybePromise<SaveOutcome> {
    const kept =
      this.#isAlone || change.fields === undefined
        ? change
        : { ...change, fields: { ...change.fields } };
    return this.#steps.asOwner<SaveOutcome>(
      id,
      fence,
      (row, record, now) => {
        const answer = saved(record, kept);
        if (record.stamp === (fence.atStamp ?? record.stamp)) {
          const put = this.#row(changedRecord(record, kept, now), now);
          return { put, grows: kept.release !== true, answer };
        }
        const isMine = this.#steps.madeBefore(row, (value) => holdsChange(value, kept));
        return { answer: isMine ? answer : 'fenced' };
      },
      // A release takes the fence of its next try away, and the record may have expired since.
      (row, record) => {
        const isReleased =
          kept.release === true && record.owner === null && record.epoch === fence.epoch;
        return (isReleased || fits(record, fence)) && this.#steps.wasMade(id, row)
          ? saved(record, kept)
          : 'fenced';
      },
    );
  }

  add(id: string, field: string, text: string): MaybePromise<AddOutcome> {
    return this.#steps.step<AddOutcome>(id, (row, now) => {
      const record = livingOf(row, now);
      if (row === undefined || record === undefined) return { answer: 'gone' };
      if (Object.hasOwn(record.fields, field)) {
        const isMine = this.#steps.madeBefore(row, ({ fields }) => fields[field] === text);
        return { answer: isMine ? 'added' : 'exists' };
      }
      return {
        put: this.#row(rungRecord(record, field, text, now), now),
        grows: true,
        answer: 'added',
      };
    });
  }

  /** Answers `'ended'` once for an expired record, so that exactly one caller reports its end. */
  end(
    id: string,
    from: Seen,
    outcome: string,
    keepMs = this.#kind.keepMs,
    apart?: string,
  ): MaybePromise<EndOutcome> {
    return this.#steps.step<EndOutcome>(id, (row, now) => {
      const record = row && recordOf(row);
      if (row === undefined || record === undefined)
        return this.#steps.wasMade(id, row)
          ? { answer: 'ended' }
          : this.#changeEnded(row, from, outcome, now);
      if (isEnded(from) || !fits(record, from) || record.stamp !== (from.atStamp ?? record.stamp))
        return { answer: 'fenced' };
      const expired = isExpired(row, now);
      const ended = Object.freeze({
        id,
        outcome: expired ? '' : outcome,
        at: expired ? (record.expiresAt ?? now) : now,
        ...(!expired && apart !== undefined && { apart }),
      });
      const tombstone = endedRow(
        ended,
        ended.at + (expired ? this.#kind.keepMs : keepMs),
        row.share,
      );
      return {
        put: tombstone,
        clear: true,
        grows: outcome.length > SHORT_OUTCOME,
        answer: 'ended',
      };
    });
  }

  #changeEnded(
    row: Row | undefined,
    from: Seen,
    outcome: string,
    now: number,
  ): Decision<EndOutcome> {
    const shown = shownOf(row, now, this.#kind);
    const isSeen = shown !== undefined && isEnded(shown) && isEnded(from) && shown.at === from.at;
    if (row === undefined || !isSeen) return { answer: 'gone' };
    const { id, at } = shown;
    const put = outcome === '' ? null : endedRow({ id, outcome, at }, row.wakeAt ?? now, null);
    return { put, answer: 'ended' };
  }

  /** In the order of their ids. */
  async list(limit: number, cursor?: string, group?: string): Promise<RecordPage> {
    const first = idOf(cursor);
    const [from, before] = group === undefined ? [first, LAST_ID] : rangeOf(group, first);
    const records: StoredRecord[] = [];
    const unreadable: string[] = [];
    const page = (shown: readonly StoredRecord[], end?: string): RecordPage => {
      const ids = unreadable.filter((id) => end === undefined || id < end);
      return {
        records: shown,
        ...(ids.length > 0 && { unreadable: ids }),
        ...(end !== undefined && { nextCursor: end }),
      };
    };
    let last = from;
    for (;;) {
      const rows = await this.#backend.list(this.#kind, last, before, limit + 1);
      const now = await this.#steps.now();
      unreadable.push(...rows.flatMap((row) => (row.unreadable === undefined ? [] : row.id)));
      records.push(...this.#steps.readable(rows).flatMap((row) => livingOf(row, now) ?? []));
      // There is a cursor only if another record follows, so the last page has none.
      const end = records[limit - 1];
      if (records.length > limit && end !== undefined) return page(records.slice(0, limit), end.id);
      if (rows.length <= limit) return page(records);
      last = rows.at(-1)?.id ?? last;
    }
  }

  count(group?: string): MaybePromise<number> {
    const [from, before] = group === undefined ? ['', LAST_ID] : rangeOf(group);
    return this.#backend.count(this.#kind, from, before);
  }

  countOf(share: string): MaybePromise<number> {
    return this.#backend.countOf(this.#kind, share);
  }

  oldest(share: string, most: number): MaybePromise<readonly string[]> {
    return this.#backend.oldest(this.#kind, share, most);
  }

  endedOf(share: string): MaybePromise<readonly string[]> {
    return this.#backend.endedOf(this.#kind, share);
  }

  async due(limit: number, cursor?: string): Promise<RecordPage<DueRecord>> {
    return this.#sweep.due(await this.#steps.now(), limit, cursor);
  }

  async trim(): Promise<void> {
    await this.#known.trimOld(await this.#steps.now());
    if (this.#kind.listed) return;
    // No other sweep looks for due records of this kind, so they go here once they show no more.
    let cursor: string | undefined;
    do ({ nextCursor: cursor } = await this.due(TRIM_PAGE, cursor));
    while (cursor !== undefined);
  }

  append(request: AppendRequest): MaybePromise<WriteOutcome> {
    const sent = this.#known.append(request);
    if (sent === 'written') return sent;
    if (sent !== undefined) return sent.then((done) => done ?? this.#appendSlowly(request));
    // The caller may change its list while this waits.
    return this.#appendSlowly(
      this.#isAlone ? request : { ...request, events: [...(request.events ?? [])] },
    );
  }

  dropEvents(id: string, bytes: number): MaybePromise<number> {
    if (this.#isAlone) {
      return this.#steps.step<number>(id, (row, now) =>
        row === undefined
          ? { answer: 0 }
          : { fromLog: () => this.#known.dropAtRest(row, bytes, now) },
      );
    }
    return this.#dropEvents(id, bytes);
  }

  async #dropEvents(id: string, bytes: number): Promise<number> {
    const entries = await this.#backend.log(this.#kind, id, null);
    if (entries.every(({ head }) => head[1] === 0) || this.#steps.isBusy(id)) return 0;
    return this.#steps.step<number>(id, (row, now) => {
      const record = livingOf(row, now);
      if (row === undefined || record === undefined) return { answer: 0 };
      // What its owner has sent is refused, and its owner reads the log again.
      const put = fencedRow(record, record.owner === null ? null : this.#sweep.trimAt(now));
      return { put, isForeign: true, fromLog: () => this.#known.dropAtRest(put, bytes, now) };
    });
  }

  async replay(id: string, stream: string, from: number): Promise<ReplayOutcome> {
    const row = await this.#backend.read(this.#kind, id);
    const now = await this.#steps.now();
    return livingOf(row, now) === undefined
      ? { found: false, why: 'unknown' }
      : this.#known.replay(id, stream, from, now);
  }

  forget(id: string, stream: string): void {
    if (this.#isAlone) this.#known.forgetStream(id, stream);
  }

  /** Resolves when every step that was asked for has been answered. */
  async settled(): Promise<void> {
    await this.#steps.settled();
  }

  #appendSlowly(request: AppendRequest): MaybePromise<WriteOutcome> {
    const { id, fence } = request;
    return this.#steps.asOwner<WriteOutcome>(id, fence, (row, _, now) => ({
      fromLog: () =>
        after(this.#known.load(row, now), (known) => this.#known.appendInStep(known, request, now)),
    }));
  }

  #claimed(row: Row, now: number): MaybePromise<ClaimOutcome> {
    const record = row.value as StoredRecord;
    const expiresInMs = record.expiresAt === null ? null : record.expiresAt - now;
    // The store takes nothing more of the earlier owner, so the log is read now.
    return after(this.#known.claimed(row, now), ({ marks, streams }): ClaimOutcome => {
      return { claimed: true, record, marks, streams, expiresInMs };
    });
  }

  /** What a reader finds. That a record has expired is stored before. */
  #shown(row: Row | undefined, now: number): { readonly put?: Row; readonly answer: FoundRecord } {
    const answer = shownOf(row, now, this.#kind);
    return row === undefined || !isExpired(row, now) || row.fence === OVER
      ? { answer }
      : { put: overRow(row), answer };
  }

  #row(record: StoredRecord, now: number): Row {
    return livingRow(record, this.#sweep.trimAt(now));
  }
}

/** A record that expired or ended still counts, and another one takes its id. A write changes one share. */
const countsElsewhere = (row: Row | undefined, { share }: StoredRecord): boolean =>
  row !== undefined && row.share !== null && row.share !== share;
