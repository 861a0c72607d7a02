/**
 * The directory of a kind lists all its records by id and holds the time of the next check of each. In a Cluster the
 * directory and a record are in different slots, so each change is two writes, and a crash may come between them:
 *
 *     reserve ──▶ create the record                  leaves an entry without a record: its check removes it
 *     end the record ──▶ forget                      the same
 *     make it expire earlier ──▶ scheduleCheck        leaves the old check time: the record is checked then
 *
 * No order leaves a record without an entry. `due` is the time of the next check, never much later than the expiry. A
 * check corrects the entry, so a record that extends its expiry again and again costs nothing here. A check removes an
 * entry only if the entry has not changed since it was read. A record is created only while its reservation is valid
 * by the server's clock. So no check removes the entry of a record that is being created.
 */
import type { Reply } from './client.ts';
import { DUE, FORGET, SCHEDULE_CHECK, RESERVE, SETTLE } from './directory-scripts.ts';
import type { KindKeys } from './keys.ts';
import { fenceOf } from './record-values.ts';
import type { ExpiredRecord } from '../store.ts';
import type { Script } from './scripts.ts';
import { PEEK } from './record-scripts.ts';
import { rawReply, type Server, type SlotKeys } from './server.ts';

/** How long a new entry waits for its first check. The record must be created within half of it. */
export const RESERVED_MS = 60_000;
/** The check interval of a record without expiry, in case the record is deleted and its entry is not. */
const NO_EXPIRY_CHECK_MS = 86_400_000;
const BATCH = 256;

interface Due {
  readonly id: string;
  /** The due time, as the server writes it. */
  readonly seen: string;
}

export class RecordDirectory {
  readonly #server: Server;
  readonly #keys: KindKeys;
  readonly #both: readonly [string, string];

  constructor(server: Server, keys: KindKeys) {
    this.#server = server;
    this.#keys = keys;
    this.#both = [keys.due, keys.all];
  }

  /** Called before a record is created. Resolves with the time until which it may be created. */
  async reserve(id: string): Promise<string> {
    return (await this.#run(RESERVE, this.#both, [id, String(RESERVED_MS)])) as string;
  }

  /** Schedules a check of the record at `at` or earlier. */
  async scheduleCheck(id: string, at?: number): Promise<void> {
    await this.#run(SCHEDULE_CHECK, this.#both, [id, at === undefined ? '' : String(Math.ceil(at))]);
  }

  /** The record has ended and no instance creates it again before `until`. */
  async forget(id: string, until: number): Promise<void> {
    await this.#run(FORGET, this.#both, [id, String(until)]);
  }

  /** Ids in order, after the cursor. */
  async page(limit: number, cursor: string): Promise<readonly string[]> {
    const from = cursor === '' ? '-' : `(${cursor}`;
    const range = ['ZRANGEBYLEX', this.#keys.all, from, '+', 'LIMIT', '0', String(limit)];
    return (await this.#server.send(this.#keys.all, range)) as readonly string[];
  }

  /** Checks every record that is due and yields the expired ones. */
  async *expired(): AsyncGenerator<ExpiredRecord> {
    let passed = 0;
    for (;;) {
      const range = [String(passed), String(BATCH)];
      const [now, flat] = (await this.#run(DUE, [this.#keys.due], range)) as [string, readonly string[]];
      const due: Due[] = [];
      for (let n = 0; n < flat.length; n += 2) due.push({ id: flat[n] ?? '', seen: flat[n + 1] ?? '' });
      if (due.length === 0) return;
      const expired = await this.#settle(due, Number(now));
      yield* expired;
      if (due.length < BATCH) return;
      passed += expired.length;
    }
  }

  #run(script: Script, keys: SlotKeys, args: readonly string[]): Promise<Reply> {
    return this.#server.run(script, keys, args, rawReply);
  }

  async #settle(due: readonly Due[], now: number): Promise<readonly ExpiredRecord[]> {
    const heads = await Promise.all(
      due.map(({ id }) => this.#run(PEEK, this.#keys.record(id), []) as Promise<readonly Reply[]>),
    );
    const expired: ExpiredRecord[] = [];
    const settled: string[] = [];
    for (const [n, { id, seen }] of due.entries()) {
      const [fence, expiry] = heads[n] ?? [];
      if (typeof fence !== 'string') settled.push(id, seen, '');
      else if (typeof expiry !== 'string') settled.push(id, seen, String(now + NO_EXPIRY_CHECK_MS));
      else if (Number(expiry) <= now) {
        const [epoch, owner] = fenceOf(fence);
        expired.push({ id, epoch, owner });
      } else settled.push(id, seen, String(Math.ceil(Math.min(Number(expiry), now + NO_EXPIRY_CHECK_MS))));
    }
    if (settled.length > 0) await this.#run(SETTLE, this.#both, settled);
    return expired;
  }
}
