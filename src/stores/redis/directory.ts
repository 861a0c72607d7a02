/**
 * All sessions of the deployment: their ids in order, and when to look at each. In a Cluster that stands in another slot than
 * the sessions do, so the two are written one after the other, and a crash may come between:
 *
 *     reserve ──▶ the session is made         an entry without a session: whoever looks at it takes it out
 *     the session has ended ──▶ forget        the same
 *     the session expires earlier ──▶ look    it is looked at when it would have expired before
 *
 * No order leaves a session without its entry. `due` is the time of the next look, never much later than its expiry; a look
 * puts it right, so an expiry that moves on and on costs nothing here. An entry is taken out only if it is as it was when it
 * was looked at, and a session is made only while its reservation has time left, by the server's clock: so none is taken out
 * from under a session that is being made.
 */
import type { Reply } from './client.ts';
import { DUE, FORGET, LOOK, RESERVE, SETTLE } from './directory-scripts.ts';
import type { Keys } from './keys.ts';
import { fenceOf } from './records.ts';
import type { Script } from './scripts.ts';
import { PEEK } from './session-scripts.ts';
import { asItIs, type Server, type Slot } from './server.ts';

/** How long an entry stands before it is looked at for the first time; a session must be made in half of it. */
export const RESERVED_MS = 60_000;
/** A session without an expiry is looked at as often, should it have gone and its entry not. */
const SELDOM_MS = 86_400_000;
const BATCH = 256;

/** A session past its expiry that nobody has ended. */
export interface Expired {
  readonly id: string;
  readonly owner: string | null;
}

interface Due {
  readonly id: string;
  /** When it was, as the server writes it. */
  readonly seen: string;
}

export class Directory {
  readonly #server: Server;
  readonly #keys: Keys;
  readonly #both: readonly [string, string];

  constructor(server: Server, keys: Keys) {
    this.#server = server;
    this.#keys = keys;
    this.#both = [keys.due, keys.sessions];
  }

  /** Before a session is made. Resolves with the time until which it may be. */
  async reserve(id: string): Promise<string> {
    return (await this.#run(RESERVE, this.#both, [id, String(RESERVED_MS)])) as string;
  }

  /** It is to be looked at, `at` this time at the latest. */
  async look(id: string, at?: number): Promise<void> {
    await this.#run(LOOK, this.#both, [id, at === undefined ? '' : String(Math.ceil(at))]);
  }

  /** It has ended, and nobody makes it again before `until`. */
  async forget(id: string, until: number): Promise<void> {
    await this.#run(FORGET, this.#both, [id, String(until)]);
  }

  /** Ids in order, those after the cursor. */
  async page(limit: number, cursor: string): Promise<readonly string[]> {
    const from = cursor === '' ? '-' : `(${cursor}`;
    const range = ['ZRANGEBYLEX', this.#keys.sessions, from, '+', 'LIMIT', '0', String(limit)];
    return (await this.#server.send(this.#keys.sessions, range)) as readonly string[];
  }

  /** How many there are that have neither ended nor expired. */
  async count(): Promise<number> {
    let expired = 0;
    for await (const _ of this.expired()) expired += 1;
    return Number(await this.#server.send(this.#keys.sessions, ['ZCARD', this.#keys.sessions])) - expired;
  }

  /** Looks at every session that is due, and names those that have expired. */
  async *expired(): AsyncGenerator<Expired> {
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

  #run(script: Script, keys: Slot, args: readonly string[]): Promise<Reply> {
    return this.#server.run(script, keys, args, asItIs);
  }

  async #settle(due: readonly Due[], now: number): Promise<readonly Expired[]> {
    const heads = await Promise.all(
      due.map(({ id }) => this.#run(PEEK, this.#keys.session(id), []) as Promise<readonly Reply[]>),
    );
    const expired: Expired[] = [];
    const settled: string[] = [];
    for (const [n, { id, seen }] of due.entries()) {
      const [fence, expiry] = heads[n] ?? [];
      if (typeof fence !== 'string') settled.push(id, seen, '');
      else if (typeof expiry !== 'string') settled.push(id, seen, String(now + SELDOM_MS));
      else if (Number(expiry) <= now) expired.push({ id, owner: fenceOf(fence)[1] });
      else settled.push(id, seen, String(Math.ceil(Math.min(Number(expiry), now + SELDOM_MS))));
    }
    if (settled.length > 0) await this.#run(SETTLE, this.#both, settled);
    return expired;
  }
}
