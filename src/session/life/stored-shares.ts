/**
 * `limits.perUser.sessions`: how many sessions the store keeps of each user, of all instances
 * together. A session that would be one too many takes the place of the user's idle session that
 * was used last the longest ago:
 *
 *     admit ──far below──▶ nothing is asked; the count is read once a second, and nothing waits for it
 *       ╰──near──▶ count ──room──▶ the session is opened
 *                    ╰──none──▶ an idle session of this instance, or of none, ends ──▶ the session is opened
 *                                 ╰──none──▶ the other instances end one of theirs ──▶ the session is opened
 *                                              ╰──none──▶ refused: `USER_LIMIT`
 *
 * A session with a running request or an open stream is not idle. A session that is not counted
 * yet, because its instance stores it at this moment, may exceed the limit: so one for each
 * instance that opens one at the same time. Callers without a user, who count by their address,
 * have a limit of their own unless the option is set.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { isOfAddress, shownShare, storedShare } from '../../base/budget.ts';
import { elapse } from '../../base/system.ts';
import { overUserLimit } from '../../base/errors.ts';
import { NearCount } from '../../stores/quota/near-count.ts';
import { isEnded, type MaybePromise, type StoredRecord } from '../../stores/store.ts';
import type { LiveSession } from '../session.ts';
import type { LiveSessions } from './leaving-sessions.ts';

/** The instances that share the store. */
export interface OtherInstances {
  /** Asks them to end an idle session that counts in this share. `false`: there are none. Never rejects. */
  askForRoom(share: string): Promise<boolean>;
}

const MOST_SHARES = 10_000;
/** Where there are more sessions, the oldest are looked at. */
const LOOKED_AT = 1_000;
/** Records that are read to find a session that no instance serves. */
const RECORDS_READ = 8;
/** First fewer are looked at: this instance knows its own sessions without the store. */
const LOOKED_AT_FIRST = 2 * RECORDS_READ;
/** Others may end what this instance has found. */
const TRIES = 8;
/** An instance that is asked ends a session in three trips. The count is read after each of these times. */
const ASKED_MS = [25, 50, 100, 200, 400];
/** Between two lines about one user. */
const WARN_MS = 60_000;
/** Others that ended none are not asked again so long. */
const NONE_MS = 1_000;

interface Share {
  readonly count: NearCount;
  /** Sessions that are being opened here. */
  opening: number;
  /** Whether the other instances end one. */
  asking: Promise<boolean> | undefined;
  askAgainAt: number;
  warnedAt: number;
}

export class StoredShares {
  readonly #host: LiveSessions;
  readonly #others: OtherInstances;
  /** Sessions without an instance that end at this moment. */
  readonly #ending = new Set<string>();
  readonly #shares = new BoundedMap<string, Share>(MOST_SHARES);

  constructor(host: LiveSessions, others: OtherInstances) {
    this.#host = host;
    this.#others = others;
  }

  #limitOf(key: string): number {
    const { perUser, anonymousSessions } = this.#host.options;
    return isOfAddress(key) ? anonymousSessions : perUser.sessions;
  }

  /** Runs `open`, which stores a session of this share. `key`: of `shareKey`. Throws `USER_LIMIT`. */
  async admit<T>(key: string, open: () => Promise<T>): Promise<T> {
    const limit = this.#limitOf(key);
    if (limit === Infinity) return open();
    const name = storedShare(key);
    const share = this.#share(name);
    share.opening += 1;
    share.count.take(1);
    try {
      if (share.count.far(limit) < 0) await this.#makeRoom(key, limit, share);
      else if (share.count.isOld(this.#now)) this.#readLater(name, share);
      return await open();
    } finally {
      share.opening -= 1;
    }
  }

  /** The store keeps no more of this user: its idle session that was used last the longest ago ends. `false`: none. */
  async endIdle(key: string): Promise<boolean> {
    const name = storedShare(key);
    const count = await this.#host.store.sessions.countOf(name);
    const share = this.#share(name);
    if ((await this.#endOne(name, key)) === 'none' && !(await this.#asked(name, share, count)))
      return false;
    this.#warn(key, share, 'limits.perUser.keptBytes');
    return true;
  }

  /** This instance keeps no more of this user, on the memory store. */
  async endOwn(idle: LiveSession): Promise<void> {
    const { share } = idle;
    if (await this.#host.leaving.end(idle, 'user_limit'))
      this.#warn(share, this.#share(storedShare(share)), 'limits.sessions, limits.userShare');
  }

  /** Another instance asks: ends an idle session of this one, where the share is full. Never rejects. */
  async makeRoom(name: string): Promise<void> {
    try {
      const { sessions, limits } = this.#host.store;
      const ids = await sessions.oldest(name, LOOKED_AT);
      const limit = this.#limitOf(this.#idleOf(ids)?.share ?? '');
      if ((await sessions.countOf(name)) < limit && !(await limits.isShort(name))) return;
      // The session that was found may be in use by now.
      const idle = this.#idleOf(ids);
      if (idle !== undefined) await this.#host.leaving.end(idle, 'user_limit');
    } catch (err) {
      this.#host.logger.debug({ err }, 'An idle session of a user at its limit could not be ended');
    }
  }

  get #now(): number {
    return this.#host.options.timeProvider.monotonic();
  }

  #share(name: string): Share {
    const known = this.#shares.get(name);
    if (known !== undefined) return known;
    const times = { askAgainAt: -Infinity, warnedAt: -Infinity };
    const share: Share = { count: new NearCount(), opening: 0, asking: undefined, ...times };
    this.#shares.set(name, share);
    return share;
  }

  #read(name: string, { count, opening }: Share): MaybePromise<number> {
    return count.read(this.#now, () => this.#host.store.sessions.countOf(name), opening);
  }

  /** A store that is away is no reason to refuse a user who has few. */
  #readLater(name: string, share: Share): void {
    void (async () => this.#read(name, share))().catch(() => undefined);
  }

  async #makeRoom(key: string, limit: number, share: Share): Promise<void> {
    const name = storedShare(key);
    for (let tries = 0; tries < TRIES; tries++) {
      const count = await this.#read(name, share);
      if (count + share.opening <= limit) return;
      const ended = await this.#endOne(name, key);
      if (ended === 'none' && !(await this.#asked(name, share, count))) break;
      if (ended !== 'changed') this.#warn(key, share, 'limits.perUser.sessions', limit);
      if (ended === 'ended') return;
    }
    throw overUserLimit('sessions', limit);
  }

  #warn(key: string, share: Share, limit: string, value?: number): void {
    if (this.#now - share.warnedAt < WARN_MS) return;
    share.warnedAt = this.#now;
    this.#host.logger.warn(
      { share: shownShare(key), limit, value },
      "A session was ended for its user's limit: raise that limit where many people are one user, and name your proxy in " +
        'trustedProxies where they have one address',
    );
  }

  /** `changed`: what it found has changed since. */
  async #endOne(name: string, key: string): Promise<'ended' | 'changed' | 'none'> {
    const ended = await this.#endOneOf(name, key, LOOKED_AT_FIRST);
    return ended === 'none' ? this.#endOneOf(name, key, LOOKED_AT) : ended;
  }

  async #endOneOf(name: string, key: string, most: number): Promise<'ended' | 'changed' | 'none'> {
    const { leaving, options, store, shares } = this.#host;
    const ids = await store.sessions.oldest(name, most);
    const unserved = await this.#unserved(ids);
    // Nothing waits between this look and the end.
    const picked = shares.pickOf(key);
    const idle = (picked && this.#host.get(picked.id)) ?? this.#idleOf(ids);
    if (
      unserved !== undefined &&
      (idle === undefined || unserved.stamp <= options.timeProvider.now() - idle.idleMs)
    )
      return (await this.#endUnserved(unserved)) ? 'ended' : 'changed';
    if (idle === undefined) return 'none';
    return (await leaving.end(idle, 'user_limit')) ? 'ended' : 'changed';
  }

  async #endUnserved(record: StoredRecord): Promise<boolean> {
    // Another `initialize` here may have found it too.
    if (this.#ending.has(record.id)) return false;
    this.#ending.add(record.id);
    try {
      return await this.#host.leaving.endRecord(record.id, record, 'user_limit');
    } finally {
      this.#ending.delete(record.id);
    }
  }

  /** The session of this instance that is idle longest. */
  #idleOf(ids: readonly string[]): LiveSession | undefined {
    let longest: LiveSession | undefined;
    for (const id of ids) {
      const session = this.#host.get(id);
      if (session?.idle === true && session.idleMs >= (longest?.idleMs ?? 0)) longest = session;
    }
    return longest;
  }

  /** The first that no instance serves. Sessions that are served move back in this order while they are in use. */
  async #unserved(ids: readonly string[]): Promise<StoredRecord | undefined> {
    const { instances, sessions } = this.#host.store;
    const { leaving, lease } = this.#host;
    const isHere = (id: string): boolean =>
      this.#host.get(id) !== undefined || leaving.closing(id) !== undefined;
    const elsewhere = ids.filter((id) => !isHere(id) && !this.#ending.has(id));
    const records = await Promise.all(
      elsewhere.slice(0, RECORDS_READ).map(async (id) => sessions.read(id)),
    );
    for (const record of records) {
      if (record === undefined || isEnded(record) || record.owner === lease.owner) continue;
      if (record.owner === null || (await instances.read(record.owner)) === undefined)
        return record;
    }
    return undefined;
  }

  /** `false`: no other instance has ended one. */
  #asked(name: string, share: Share, count: number): Promise<boolean> {
    return (share.asking ??= this.#ask(name, share, count));
  }

  async #ask(name: string, share: Share, count: number): Promise<boolean> {
    try {
      if (this.#now < share.askAgainAt) return false;
      if (await this.#others.askForRoom(name))
        for (const ms of ASKED_MS) {
          await elapse(this.#host.options.timeProvider, ms);
          if ((await this.#host.store.sessions.countOf(name)) < count) return true;
        }
      share.askAgainAt = this.#now + NONE_MS;
      return false;
    } finally {
      share.asking = undefined;
    }
  }
}
