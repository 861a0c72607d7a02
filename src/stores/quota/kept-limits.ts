/**
 * What a user may make the store keep: `limits.perUser.keptBytes`, and `limits.userShare` of what others leave free of
 * 90 % of the store. The store counts (`KeptBytes`), and asks here before a write by which a user keeps more:
 *
 *     in hand ──enough──▶ nothing is asked
 *     take ──far below──▶ nothing waits; the number is read again once a second at most
 *       ╰──near──▶ read ──fits──▶ written
 *                    ╰──▶ the user's oldest events go, then its oldest long results ──fits──▶ written
 *                           ╰──▶ counted again, once a minute at most ──fits──▶ written
 *                                  ╰──▶ `STORE_FULL`; entries of logs that may lose events are written all the same
 *
 * Far, as in `near-count.ts`: an instance takes up to 64 KiB of that into the user's hand, and these count as taken.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { monotonicMs } from '../../base/system.ts';
import { keptFull, type SojournError } from '../../base/errors.ts';
import type { Limits, UserLimits } from '../../base/options/limits-options.ts';
import {
  type BytesInHand,
  type MaybePromise,
  type OpenStore,
  type Quota,
  type Records,
  UNOWNED,
} from '../store.ts';
import { after, repeated } from '../shared/after.ts';
import type { TimeProvider } from '../../base/types.ts';
import { FAR, NearCount } from './near-count.ts';
import { StoreRoomLook } from './store-room.ts';

const IN_HAND = 65_536;
/** A user takes twice as much each time: what users hold in hand and never use would fill the store. */
const FIRST_IN_HAND = 4_096;
const RECOUNT_MS = 60_000;
/** So much of its limit a user loses at once, at least. */
const FREED = 1 / 8;
/** Logs are not looked through again before they count so much more, at least. */
const [LEAST_FREED, FREED_AGAIN] = [65_536, 1 / 64];
/** Sessions and results that are looked at, the oldest first. */
const LOOKED_AT = 1_000;
const RESULTS_AT_ONCE = 16;
/** A session with a large handshake. */
const USUAL_BYTES = 32_768;
const MOST_USERS = 10_000;

export interface KeptOptions {
  readonly limits: Pick<Limits, 'storeBytes' | 'userShare'>;
  readonly perUser: Pick<UserLimits, 'keptBytes'>;
  readonly timeProvider: Required<TimeProvider>;
}

/** The store of the endpoint, once it is open. */
export interface KeptStore extends Pick<OpenStore, 'room' | 'kept'> {
  readonly sessions: Records;
  readonly results: Records;
}

type KeptNumbers = Readonly<Record<string, number>>;

interface KeptUser extends BytesInHand {
  readonly share: string;
  /** The numbers that were read last. */
  numbers: KeptNumbers;
  /** Their sum. */
  readonly count: NearCount;
  /** How much the user takes in hand next. */
  nextInHand: number;
  reading: Promise<void> | undefined;
  recountedAt: number;
  /** What the sessions counted when nothing was left to drop. */
  leastLogs: number;
}

export class KeptLimits implements Quota {
  readonly #options: KeptOptions;
  readonly #room: StoreRoomLook;
  readonly #users = new BoundedMap<string, KeptUser>(MOST_USERS);
  #store: KeptStore | undefined = undefined;

  constructor(options: KeptOptions) {
    this.#options = options;
    this.#room = new StoreRoomLook(options.limits.storeBytes, options.timeProvider);
  }

  opened(store: KeptStore): void {
    this.#store = store;
    this.#room.opened(store);
  }

  /** What it is refused it is refused for what others have. */
  hasLittle(share: string): boolean {
    return this.#user(share).count.value <= FAR * this.#options.perUser.keptBytes;
  }

  /** A record of usual size finds no room. */
  async isShort(share: string): Promise<boolean> {
    const user = this.#user(share);
    await this.#readAgain(user);
    return !this.#fits(user, USUAL_BYTES);
  }

  inHand(share: string): BytesInHand {
    return this.#user(share);
  }

  take(share: string, bytes: number): MaybePromise<void> {
    const user = this.#user(share);
    if (this.#takesAtOnce(user, bytes)) return undefined;
    return after(this.#makesRoom(user, bytes, true), (fits) => {
      if (!fits) throw this.#refusal(user);
      this.#taken(user, bytes);
    });
  }

  takeForLog(share: string, bytes: number): MaybePromise<number> {
    const user = this.#user(share);
    if (this.#takesAtOnce(user, bytes)) return 0;
    return after(this.#makesRoom(user, bytes, false), () => {
      this.#taken(user, bytes);
      return Math.max(0, user.count.value - this.#limitOf(user));
    });
  }

  /** `false`: near. */
  #takesAtOnce(user: KeptUser, bytes: number): boolean {
    if (bytes > user.inHand) {
      const far = user.count.far(this.#limitOf(user));
      if (bytes > user.inHand + far) return false;
      const more = Math.max(bytes - user.inHand, Math.min(user.nextInHand, far));
      user.nextInHand = Math.min(IN_HAND, 2 * user.nextInHand);
      user.inHand += more;
      this.#taken(user, more);
    }
    user.inHand -= bytes;
    return true;
  }

  get #now(): number {
    return monotonicMs(this.#options.timeProvider);
  }

  #user(share: string): KeptUser {
    const known = this.#users.use(share);
    if (known !== undefined) return known;
    const user: KeptUser = {
      share,
      numbers: {},
      count: new NearCount(),
      nextInHand: FIRST_IN_HAND,
      inHand: 0,
      reading: undefined,
      leastLogs: 0,
      recountedAt: -Infinity,
    };
    this.#users.set(share, user);
    return user;
  }

  #limitOf(user: KeptUser): number {
    const { perUser, limits } = this.#options;
    return Math.min(perUser.keptBytes, limits.userShare * this.#room.leftBy(user.count.value));
  }

  #refusal(user: KeptUser): SojournError {
    const byOthers = this.#room.isFilledByOthers(user.count.value);
    return keptFull(user.numbers, this.#limitOf(user), byOthers);
  }

  /** A store that is away is no reason to refuse a user who has little. */
  #taken(user: KeptUser, bytes: number): void {
    const { count } = user;
    count.take(bytes);
    this.#room.stored(bytes);
    const isLittle = count.wasRead && count.taken < IN_HAND;
    if (user.reading !== undefined || isLittle || !count.isOld(this.#now)) return;
    const read = this.#read(user);
    if (read instanceof Promise) read.catch(() => undefined);
  }

  /** Answers at once where the store does. */
  #read(user: KeptUser): MaybePromise<void> {
    if (user.reading !== undefined) return user.reading;
    const { count, inHand } = user;
    const expected = count.value - inHand;
    const ask = (): MaybePromise<number> =>
      after(this.#opened.kept.of(user.share), (numbers) => {
        user.numbers = numbers;
        const counted = Object.values(numbers).reduce((sum, bytes) => sum + bytes, 0);
        if (counted < expected) this.#room.freed();
        return counted;
      });
    const read = count.read(this.#now, ask, inHand);
    const looked = this.#room.look();
    if (!(read instanceof Promise) && !(looked instanceof Promise)) return undefined;
    const done = Promise.all([read, looked]).then(() => undefined);
    user.reading = done.finally(() => (user.reading = undefined));
    return user.reading;
  }

  get #opened(): KeptStore {
    return this.#store as KeptStore;
  }

  #fits(user: KeptUser, bytes: number): boolean {
    return user.count.value + bytes <= this.#limitOf(user);
  }

  /** `isRefused`: what finds no room. Else only events make room for it. */
  #makesRoom(user: KeptUser, bytes: number, isRefused: boolean): MaybePromise<boolean> {
    const steps = [
      () => this.#read(user),
      // What was under way may have made room, and what is in the hands of others fills none.
      () => after(this.#room.lookAgain(), () => this.#readAgain(user)),
      () => this.#dropEvents(user, bytes),
      ...(isRefused ? [() => this.#forgetResults(user, bytes), () => this.#recount(user)] : []),
    ];
    return repeated<boolean>(() => {
      const step = steps.shift();
      if (step === undefined) return false;
      return after(step(), () =>
        this.#fits(user, bytes) ? true : steps.length > 0 ? undefined : false,
      );
    });
  }

  #dropEvents(user: KeptUser, bytes: number): MaybePromise<void> {
    const { sessions } = this.#opened;
    const logged = user.numbers['sessions'] ?? 0;
    const grown = logged + user.count.taken - user.leastLogs;
    if (grown < Math.max(LEAST_FREED, FREED_AGAIN * this.#limitOf(user))) return undefined;
    let wanted = Math.max(
      bytes,
      FREED * this.#limitOf(user),
      user.count.value + bytes - this.#limitOf(user),
    );
    return after(sessions.oldest(user.share, LOOKED_AT), (found) => {
      const ids = [...found];
      const dropped = repeated<true>(() => {
        const id = ids.shift();
        if (id === undefined || wanted <= 0) return true;
        return after(sessions.dropEvents(id, wanted), (freed) => {
          wanted -= freed;
          return undefined;
        });
      });
      return after(dropped, () =>
        after(this.#readAgain(user), () => {
          user.leastLogs = wanted > 0 ? (user.numbers['sessions'] ?? 0) : 0;
        }),
      );
    });
  }

  #forgetResults(user: KeptUser, bytes: number): MaybePromise<void> {
    const { results } = this.#opened;
    if ((user.numbers['results'] ?? 0) === 0) return undefined;
    const freed = repeated<true>(() =>
      after(results.oldest(user.share, RESULTS_AT_ONCE), (ids) => {
        const [id] = ids;
        if (id === undefined || this.#fits(user, bytes)) return true;
        return after(results.end(id, UNOWNED, '', 0), (ended) =>
          after(this.#readAgain(user), () => (ended === 'ended' ? undefined : true)),
        );
      }),
    );
    return after(freed, () => undefined);
  }

  #recount(user: KeptUser): MaybePromise<void> {
    const now = this.#now;
    if (now - user.recountedAt < RECOUNT_MS) return undefined;
    user.recountedAt = now;
    user.leastLogs = 0;
    return after(this.#opened.kept.recount(user.share), () => this.#readAgain(user));
  }

  /** A read that is under way began too early. */
  #readAgain(user: KeptUser): MaybePromise<void> {
    return user.reading === undefined
      ? this.#read(user)
      : user.reading.then(() => this.#read(user));
  }
}
