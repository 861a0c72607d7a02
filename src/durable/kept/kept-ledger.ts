/**
 * What the store keeps for each user of calls that are over, or may outlive their instance: tasks, their steps and
 * results, keys of `once()`. A user may have `limits.perUser.keptBytes`, and `limits.userShare` of what others leave
 * free of 90 % of the store. Past that its oldest long results are forgotten, and then its new records are refused.
 *
 *     take ──below a 16th of the limit──▶ charged here, and the store is not asked
 *       ╰──above──▶ look (once a second) ──fits, or fits without the oldest results──▶ charged
 *                                        ╰──▶ refused
 *
 * An instance holds what it charged in its memory. Of a user above a 16th of the limit it also saves that once a
 * second, as records of the kind `KEPT`, and a long result has a record there from the start. Their group is the user,
 * their head a number of bytes; a record of a result has no owner. The store lets them expire, so the clocks of
 * instances do not matter. A crash loses what was not saved: at most a 16th of the limit and one second. It also loses
 * the bytes of open records, which the instances charge that take them over.
 */
import { base64url, every, monotonicMs, type RandomSource } from '../../base/system.ts';
import { pagesOf } from '../../base/pages.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import { isEnded, type OpenStore, RECORD_VERSION, type Records } from '../../stores/store.ts';
import type { SessionLimits, UserLimits } from '../../base/options/resolve-limits.ts';
import type { Logger, TimeProvider } from '../../base/types.ts';
import { KeptRoom } from './kept-room.ts';
import { type KeptResult, KeptShare, type Slot } from './kept-share.ts';

const UNASKED = 1 / 16;
const LOOK_MS = 1_000;
/** So much of its limit a user may add here until the others are looked at again. */
const UNREAD = 1 / 8;
const LEAST_UNREAD = 1_048_576;
const SAVE_MS = 1_000;
/** Open records of an instance that crashed count so long. */
const OPEN_MS = 60_000;
const RENEW_MS = OPEN_MS / 3;
/** Users without much are forgotten past this number. */
const MOST_SHARES = 10_000;
const PAGE = 256;
const NAME_BYTES = 9;
const FIELD = 'json';
/** A result is there as long as the record that names it. */
const SLACK_MS = 60_000;
/** The share of all users together. */
const ALL = 'all';

export interface KeptOptions {
  readonly limits: Pick<SessionLimits, 'storeBytes' | 'userShare'>;
  readonly perUser: Pick<UserLimits, 'keptBytes'>;
  readonly timeProvider: Required<TimeProvider>;
  readonly logger: Logger;
}

export interface KeptStore extends Pick<OpenStore, 'room'> {
  readonly kept: Records;
  readonly results: Records;
}

export class KeptLedger {
  readonly #options: KeptOptions;
  readonly #store: KeptStore;
  readonly #random: RandomSource;
  #name: string | undefined = undefined;
  readonly #room: KeptRoom;
  readonly #shares = new Map<string, KeptShare>();
  /** One after the other for each user, as each reads what the earlier ones have made the store keep. */
  readonly #turns = new RecordQueues();
  /** Those that are saved. */
  readonly #large = new Set<KeptShare>();
  #stopSaving: (() => void) | undefined = undefined;
  #isSaving = false;
  #isStopped = false;

  constructor(store: KeptStore, options: KeptOptions, random: RandomSource) {
    this.#store = store;
    this.#options = options;
    this.#random = random;
    this.#room = new KeptRoom(store, options.limits.storeBytes, options.timeProvider);
  }

  /** The owner of what this instance saves: another one after each start. */
  get #me(): string {
    return (this.#name ??= this.#newName());
  }

  get #now(): number {
    return monotonicMs(this.#options.timeProvider);
  }

  /**
   * Charges bytes of a record that lives, or gives them back. `false`: the user has its share, and nothing was charged.
   */
  async take(key: string, bytes: number): Promise<boolean> {
    await this.#room.look();
    const share = this.#share(key);
    const isSmall = bytes <= 0 || share.total(this.#now) + bytes <= UNASKED * this.#limitOf(share);
    if (isSmall) this.charge(key, bytes);
    return (
      isSmall ||
      this.#turns.steps(key, async () => {
        const fits = await this.#makeRoom(share, bytes);
        if (fits) this.charge(key, bytes);
        return fits;
      })
    );
  }

  /** It has little, so what it is refused is refused for what others have. */
  hasLittle(key: string): boolean {
    return this.#share(key).total(this.#now) <= UNASKED * this.#options.perUser.keptBytes;
  }

  /** Charges bytes of a record that lives, or gives them back. */
  charge(key: string, bytes: number): void {
    for (const share of this.#chargedFor(key)) share.open.bytes += bytes;
    this.#noteStored(key, bytes);
  }

  /** The record has ended, and the store keeps so many bytes for so long. */
  keep(key: string, bytes: number, ms: number): void {
    for (const share of this.#chargedFor(key)) share.keep(bytes, ms, this.#now);
    this.#noteStored(key, bytes);
  }

  /** Stores a long result. Returns what reads it; `undefined`: the user has its share. */
  storeResult(key: string, text: string, keepMs: number): Promise<string | undefined> {
    const share = this.#share(key);
    const bytes = Buffer.byteLength(text);
    return this.#turns.steps(key, async () => {
      await this.#room.look();
      if (!(await this.#makeRoom(share, bytes))) return undefined;
      const id = `${share.key}.${this.#newName()}`;
      const at = this.#options.timeProvider.now();
      const record = {
        v: RECORD_VERSION,
        id,
        epoch: 1,
        owner: null,
        user: null,
        body: '',
        createdAt: at,
        stamp: at,
      };
      const ms = keepMs + SLACK_MS;
      // First its bytes: a crash leaves no result that is not counted.
      await this.#store.kept.create({ ...record, head: String(bytes), fields: {} }, ms);
      share.addResult({ id, bytes, at, expiresAt: at + ms });
      if (this.#countsAll) this.#share(ALL).keep(bytes, ms, this.#now);
      this.#noteStored(key, bytes);
      try {
        await this.#store.results.create({ ...record, head: '', fields: { [FIELD]: text } }, ms);
      } catch (cause) {
        await this.forgetResult(id);
        throw cause;
      }
      return id;
    });
  }

  /** `undefined`: it was forgotten. */
  async readResult(id: string): Promise<string | undefined> {
    const found = await this.#store.results.read(id);
    return found === undefined || isEnded(found) ? undefined : found.fields[FIELD];
  }

  async forgetResult(id: string): Promise<void> {
    const seen = { epoch: 1, owner: null };
    await this.#store.results.end(id, seen, '', 0);
    await this.#store.kept.end(id, seen, '', 0);
  }

  /** Deletes what has expired. */
  async sweep(): Promise<void> {
    const { kept, results } = this.#store;
    for await (const { records } of pagesOf(async (from) => kept.due(PAGE, from)))
      for (const { id, epoch, owner } of records) await kept.end(id, { epoch, owner }, '', 0);
    await kept.trim();
    await results.trim();
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopSaving?.();
  }

  // ——— what a user may have ———

  #limitOf(share: KeptShare): number {
    const { perUser, limits } = this.#options;
    const { size } = this.#room;
    if (size === Infinity) return perUser.keptBytes;
    const used = this.#room.used ?? this.#share(ALL).total(this.#now);
    const free = Math.max(0, size - Math.max(0, used - share.total(this.#now)));
    return Math.min(perUser.keptBytes, limits.userShare * free);
  }

  /** Whether so many bytes more fit, where the oldest results may be forgotten. */
  async #makeRoom(share: KeptShare, bytes: number): Promise<boolean> {
    if (this.#countsAll) await this.#look(this.#share(ALL));
    await this.#look(share);
    if (share.lasting(this.#now) + bytes > this.#limitOf(share)) await this.#room.look('a refusal');
    const most = this.#limitOf(share);
    if (share.lasting(this.#now) + bytes > most) return false;
    while (share.total(this.#now) + bytes > most) {
      const oldest = share.takeOldest();
      if (oldest === undefined) return false;
      await this.#forget(oldest);
    }
    share.added += bytes;
    return true;
  }

  async #forget({ id, bytes, expiresAt }: KeptResult): Promise<void> {
    await this.forgetResult(id);
    this.#room.stored(-bytes);
    const restMs = Math.max(1, expiresAt - this.#options.timeProvider.now());
    if (this.#countsAll) this.#share(ALL).keep(-bytes, restMs, this.#now);
  }

  /** What all instances made the store keep: once a second, and sooner where much was added since. */
  async #look(share: KeptShare): Promise<void> {
    const began = this.#now;
    if (
      began - share.readAt < LOOK_MS &&
      share.added < Math.max(LEAST_UNREAD, UNREAD * this.#limitOf(share))
    )
      return;
    const group = share.key;
    const results: KeptResult[] = [];
    let others = 0;
    for await (const { records } of pagesOf(async (from) =>
      this.#store.kept.list(PAGE, from, group),
    ))
      for (const { id, head, owner, stamp: at, expiresAt } of records) {
        const bytes = Number(head);
        if (owner === null) results.push({ id, bytes, at, expiresAt: expiresAt ?? Infinity });
        else if (owner !== this.#me) others += bytes;
      }
    share.found(results, others, began);
  }

  // ——— shares ———

  /** The store does not tell how much it holds: the ledger counts that. */
  get #countsAll(): boolean {
    return this.#room.size < Infinity && this.#room.used === undefined;
  }

  #chargedFor(key: string): readonly KeptShare[] {
    return this.#countsAll ? [this.#share(key), this.#share(ALL)] : [this.#share(key)];
  }

  #noteStored(key: string, bytes: number): void {
    this.#room.stored(bytes);
    for (const share of this.#chargedFor(key)) {
      const isLarge = share.key === ALL || share.own(this.#now) > UNASKED * this.#limitOf(share);
      if (isLarge) this.#large.add(share);
    }
    if (this.#large.size > 0 && !this.#isStopped)
      this.#stopSaving ??= every(this.#options.timeProvider, SAVE_MS, () => void this.#save());
  }

  #share(key: string): KeptShare {
    const known = this.#shares.get(key);
    if (known !== undefined) return known;
    if (this.#shares.size >= MOST_SHARES) this.#forgetShares();
    const share = new KeptShare(key);
    this.#shares.set(key, share);
    return share;
  }

  /** First those that hold nothing any more. A user that is forgotten begins anew, and has little. */
  #forgetShares(): void {
    const small = [...this.#shares.values()].filter(
      (share) => !this.#large.has(share) && share.key !== ALL,
    );
    const idle = small.filter(({ open }) => open.bytes === 0);
    const empty = idle.filter((share) => share.own(this.#now) === 0);
    for (const { key } of empty.length > 0 ? empty : idle.slice(0, MOST_SHARES / 2))
      this.#shares.delete(key);
  }

  #newName(): string {
    return base64url(this.#random(NAME_BYTES));
  }

  // ——— what others must know ———

  async #save(): Promise<void> {
    if (this.#isSaving) return;
    this.#isSaving = true;
    try {
      for (const share of this.#large) await this.#saveShare(share);
    } catch (err) {
      this.#options.logger.debug(
        { err },
        'What users keep in the store could not be saved; the next second tries again',
      );
    } finally {
      this.#isSaving = false;
    }
    if (this.#large.size > 0 || this.#stopSaving === undefined) return;
    this.#stopSaving();
    this.#stopSaving = undefined;
  }

  async #saveShare(share: KeptShare): Promise<void> {
    const now = this.#now;
    const group = share.key;
    for (const slot of share.slots(now)) {
      const isOpen = slot.endsAt === Infinity;
      const isOld = isOpen && slot.bytes > 0 && now - slot.savedAt >= RENEW_MS;
      if (slot.bytes !== slot.saved || isOld)
        await this.#saveSlot(group, slot, isOpen ? OPEN_MS : slot.endsAt - now);
    }
    if (share.own(now) === 0) this.#large.delete(share);
  }

  async #saveSlot(group: string, slot: Slot, ms: number): Promise<void> {
    const { kept } = this.#store;
    const { bytes } = slot;
    const fence = { epoch: 1, owner: this.#me };
    const text = { head: String(bytes), stamp: 0 };
    const isOpen = slot.endsAt === Infinity;
    if (slot.id === undefined) {
      // The store may have the record although no reply comes: the next try saves that one.
      const id = (slot.id = `${group}.${this.#newName()}`);
      const record = {
        v: RECORD_VERSION,
        id,
        ...fence,
        user: null,
        body: '',
        fields: {},
        createdAt: 0,
        ...text,
      };
      await kept.create(record, Math.max(1, ms));
    } else if (
      (await kept.save(slot.id, fence, { ...text, ...(isOpen && { expiresInMs: ms }) })) ===
      'fenced'
    ) {
      // It has expired, or was never stored.
      slot.id = undefined;
      return;
    }
    slot.saved = bytes;
    slot.savedAt = this.#now;
  }
}
