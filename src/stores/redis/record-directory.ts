/**
 * The directory of a kind lists all its records by id and holds the time of the next check of each. In a Cluster the
 * directory and a record are in different slots, so each change is two writes, and a crash may come between them:
 *
 *     reserve ──▶ create the record                  leaves an entry without a record: its check removes it
 *     end the record ──▶ forget                      the same
 *     make it expire earlier ──▶ scheduleCheck        leaves the old check time: the record is checked then
 *     reserve ──▶ add a field ──▶ scheduleCheck       leaves an early check, which finds the record due or not
 *
 * No order leaves a record without an entry. `due` is the time of the next check, never much later than the expiry or
 * the due time. A check corrects the entry, so a record that extends its expiry again and again costs nothing here. A
 * check removes an entry only if the entry has not changed since it was read. A record is created only while its
 * reservation is valid by the server's clock. So no check removes the entry of a record that is being created.
 */
import type { Reply } from './client.ts';
import { DUE, FORGET, SCHEDULE_CHECK, RESERVE, RESERVE_VITAL, SETTLE } from './directory-scripts.ts';
import type { KindKeys } from './keys.ts';
import { fenceOf } from './record-values.ts';
import type { DueRecord, RecordPage } from '../store.ts';
import type { Script } from './scripts.ts';
import { PEEK } from './record-scripts.ts';
import { rawReply, type Server, type SlotKeys } from './server.ts';

/** How long a new entry waits for its first check. The record must be created within half of it. */
export const RESERVED_MS = 60_000;
/** The check interval of a record without expiry, in case the record is deleted and its entry is not. */
const NO_EXPIRY_CHECK_MS = 86_400_000;
const BATCH = 256;
const FIRST = '-inf';

interface Check {
  readonly id: string;
  /** The due time, as the server writes it. */
  readonly seen: string;
}

export class RecordDirectory {
  readonly #server: Server;
  readonly #keys: KindKeys;
  readonly #both: readonly [string, string];
  readonly #reserve: Script;

  constructor(server: Server, keys: KindKeys, isVital = false) {
    this.#server = server;
    this.#reserve = isVital ? RESERVE_VITAL : RESERVE;
    this.#keys = keys;
    this.#both = [keys.due, keys.all];
  }

  /** Called before a write that needs a check after `ms`. Resolves with the latest time of that write: the half. */
  async reserve(id: string, ms = RESERVED_MS): Promise<string> {
    return (await this.#run(this.#reserve, this.#both, [id, String(ms)])) as string;
  }

  /** Schedules a check of the record at `at` or earlier. */
  async scheduleCheck(id: string, at?: number): Promise<void> {
    await this.#run(SCHEDULE_CHECK, this.#both, [id, at === undefined ? '' : String(Math.ceil(at))]);
  }

  /** The next check of an entry is due. Makes no entry. */
  async checkSoon(id: string): Promise<void> {
    await this.forget(id, 0);
  }

  /** The record has ended and no instance creates it again before `until`. */
  async forget(id: string, until: number): Promise<void> {
    await this.#run(FORGET, this.#both, [id, String(until)]);
  }

  /** Ids in order, after one and before another; `''`: from the first, to the last. */
  async page(limit: number, after: string, before: string): Promise<readonly string[]> {
    const command = ['ZRANGEBYLEX', this.#keys.all, ...rangeBetween(after, before), 'LIMIT', '0', String(limit)];
    return (await this.#server.send(this.#keys.all, command)) as readonly string[];
  }

  /** How many ids lie between the two; `''` as for `page`. */
  async count(after: string, before: string): Promise<number> {
    const command = ['ZLEXCOUNT', this.#keys.all, ...rangeBetween(after, before)];
    return Number(await this.#server.send(this.#keys.all, command));
  }

  /**
   * Checks records whose check is due, in the order of these times. A record that has expired or is due keeps its
   * entry, so a page begins after the last one of the page before, by time and id.
   */
  async due(limit: number, cursor: string | undefined): Promise<RecordPage<DueRecord>> {
    const records: DueRecord[] = [];
    const [start = FIRST, lastId = ''] = cursor?.split(' ') ?? [];
    const size = Math.min(BATCH, limit);
    for (let passed = 0; ;) {
      const range = [start, String(passed), String(size)];
      const [now, flat] = (await this.#run(DUE, [this.#keys.due], range)) as [string, readonly string[]];
      const checks: Check[] = [];
      for (let n = 0; n < flat.length; n += 2) checks.push({ id: flat[n] ?? '', seen: flat[n + 1] ?? '' });
      const later = checks.filter(({ id, seen }) => seen !== start || id > lastId);
      const due = await this.#settle(later, Number(now));
      for (const [n, { record, seen }] of due.entries()) {
        records.push(record);
        const isLast = n === due.length - 1 && checks.length < size;
        if (records.length === limit) return isLast ? { records } : { records, nextCursor: `${seen} ${record.id}` };
      }
      if (checks.length < size) return { records };
      passed += checks.length - later.length + due.length;
    }
  }

  #run(script: Script, keys: SlotKeys, args: readonly string[]): Promise<Reply> {
    return this.#server.run(script, keys, args, rawReply);
  }

  /** Corrects the entries of records that are not due, and answers the others. */
  async #settle(checks: readonly Check[], now: number): Promise<ReadonlyArray<{ record: DueRecord; seen: string }>> {
    const heads = await Promise.all(
      checks.map(({ id }) => this.#run(PEEK, this.#keys.record(id), []) as Promise<readonly Reply[]>),
    );
    const due: Array<{ record: DueRecord; seen: string }> = [];
    const settled: string[] = [];
    for (const [n, { id, seen }] of checks.entries()) {
      const [fence, expiry, dueAt] = heads[n] ?? [];
      const [expires, wakes] = [expiry, dueAt].map((at) => (typeof at === 'string' ? Number(at) : Infinity));
      const next = Math.min(expires ?? now, wakes ?? now);
      if (typeof fence !== 'string') settled.push(id, seen, '');
      else if (next <= now) {
        const [epoch, owner] = fenceOf(fence);
        due.push({ record: { id, epoch, owner, expired: (expires ?? now) <= now }, seen });
      } else settled.push(id, seen, String(Math.ceil(Math.min(next, now + NO_EXPIRY_CHECK_MS))));
    }
    if (settled.length > 0) await this.#run(SETTLE, this.#both, settled);
    return due;
  }
}

const rangeBetween = (after: string, before: string): string[] => [
  after === '' ? '-' : `(${after}`,
  before === '' ? '+' : `(${before}`,
];
