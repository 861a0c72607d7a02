/**
 * The directory of a deployment lists all sessions by id and holds the time of the next check of each. In a Cluster the
 * directory and a session are in different slots, so each change is two writes, and a crash may come between them:
 *
 *     reserve ──▶ create the session                  leaves an entry without a session: its check removes it
 *     end the session ──▶ forget                      the same
 *     make it expire earlier ──▶ scheduleCheck        leaves the old check time: the session is checked then
 *
 * No order leaves a session without an entry. `due` is the time of the next check, never much later than the expiry. A
 * check corrects the entry, so a session that extends its expiry again and again costs nothing here. A check removes an
 * entry only if the entry has not changed since it was read. A session is created only while its reservation is valid
 * by the server's clock. So no check removes the entry of a session that is being created.
 */
import type { Reply } from './client.ts';
import { DUE, FORGET, SCHEDULE_CHECK, RESERVE, SETTLE } from './directory-scripts.ts';
import type { Keys } from './keys.ts';
import { fenceOf } from './records.ts';
import type { ExpiredSession } from '../store.ts';
import type { Script } from './scripts.ts';
import { PEEK } from './session-scripts.ts';
import { rawReply, type Server, type SlotKeys } from './server.ts';

/** How long a new entry waits for its first check. The session must be created within half of it. */
export const RESERVED_MS = 60_000;
/** The check interval of a session without expiry, in case the session is deleted and its entry is not. */
const NO_EXPIRY_CHECK_MS = 86_400_000;
const BATCH = 256;

interface Due {
  readonly id: string;
  /** The due time, as the server writes it. */
  readonly seen: string;
}

export class SessionDirectory {
  readonly #server: Server;
  readonly #keys: Keys;
  readonly #both: readonly [string, string];

  constructor(server: Server, keys: Keys) {
    this.#server = server;
    this.#keys = keys;
    this.#both = [keys.due, keys.sessions];
  }

  /** Called before a session is created. Resolves with the time until which it may be created. */
  async reserve(id: string): Promise<string> {
    return (await this.#run(RESERVE, this.#both, [id, String(RESERVED_MS)])) as string;
  }

  /** Schedules a check of the session at `at` or earlier. */
  async scheduleCheck(id: string, at?: number): Promise<void> {
    await this.#run(SCHEDULE_CHECK, this.#both, [id, at === undefined ? '' : String(Math.ceil(at))]);
  }

  /** The session has ended and no instance creates it again before `until`. */
  async forget(id: string, until: number): Promise<void> {
    await this.#run(FORGET, this.#both, [id, String(until)]);
  }

  /** Ids in order, after the cursor. */
  async page(limit: number, cursor: string): Promise<readonly string[]> {
    const from = cursor === '' ? '-' : `(${cursor}`;
    const range = ['ZRANGEBYLEX', this.#keys.sessions, from, '+', 'LIMIT', '0', String(limit)];
    return (await this.#server.send(this.#keys.sessions, range)) as readonly string[];
  }

  /** The number of sessions that have neither ended nor expired. */
  async count(): Promise<number> {
    let expired = 0;
    for await (const _ of this.expired()) expired += 1;
    return Number(await this.#server.send(this.#keys.sessions, ['ZCARD', this.#keys.sessions])) - expired;
  }

  /** Checks every session that is due and yields the expired ones. */
  async *expired(): AsyncGenerator<ExpiredSession> {
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

  async #settle(due: readonly Due[], now: number): Promise<readonly ExpiredSession[]> {
    const heads = await Promise.all(
      due.map(({ id }) => this.#run(PEEK, this.#keys.session(id), []) as Promise<readonly Reply[]>),
    );
    const expired: ExpiredSession[] = [];
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
