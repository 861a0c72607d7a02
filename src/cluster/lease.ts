/**
 * The right of this instance to serve sessions from memory.
 *
 *     joining ──announced──▶ valid ──ran out / gone──▶ lapsed ──announced under a new id──▶ valid
 *
 * Death is final: a lease that ran out is never renewed. The instance takes a new id, stores its lease, and renews it from
 * then on, however long the claims of its sessions take (`session/claim-queue.ts`): each is served once it is claimed for
 * that id. No id owns anything before its lease is stored. Valid is the smaller of what the monotonic clock and the wall clock leave, counted from
 * before the renewal was sent: a suspended machine stops the one, somebody may set the other. An instance whose mailbox was
 * lost is lapsed until it has renewed since: somebody may have buried it meanwhile. In one process
 * (`inProcess`) nobody can take anything over unnoticed, and the lease has no end.
 *
 * A crash leaves a lease that runs out, or is buried by whoever finds nobody there.
 */
import type { InstanceLease, InstanceMessage, InstanceStore } from '../stores/store.ts';
import { base64url, type RandomSource } from '../options/system.ts';
import type { Logger, TimeProvider } from '../types.ts';
import { BUILD_VERSION } from '../protocol/versions.ts';

const ID_BYTES = 9;
/** Renewals per lease: two may fail before it runs out. */
const RENEWALS = 3;

/** By both clocks, in ms. */
interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

export interface LeaseOptions {
  readonly store: InstanceStore;
  readonly inProcess: boolean;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly time: Required<TimeProvider>;
  readonly logger: Logger;
  receive(from: string, message: InstanceMessage): void;
  /** The id is dead: nothing may be said under it any more. */
  lapsed(id: string): void;
  /** It is valid until its next end. */
  extended(): void;
  storeAnswers(): void;
}

export class Lease {
  readonly #options: LeaseOptions;
  #id: string;
  #announcedId: string;
  #state: InstanceLease['state'] = 'serving';
  #validMonotonic = -Infinity;
  #validWall = -Infinity;
  /** How often the mailbox was lost, and how often when the last good renewal began. */
  #losses = 0;
  #lossesRenewed = 0;
  #ticking = false;
  #timer: unknown;
  #left = false;
  #storeAway = false;
  #lapses = 0;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#id = this.#announcedId = this.#newId();
  }

  get id(): string {
    return this.#id;
  }

  /**
   * The id for which sessions are claimed. Until a new id is announced that is the dead one: what is claimed for it is claimed
   * again for the new one. An owner without a lease is dead to everybody, one that has yet to be announced too.
   */
  get owner(): string {
    return this.#announcedId;
  }

  /** Whether sessions that are claimed for `owner` may be served from memory now. */
  get valid(): boolean {
    const { inProcess } = this.#options;
    return inProcess || (this.#losses === this.#lossesRenewed && this.#inTime);
  }

  get #inTime(): boolean {
    const { time } = this.#options;
    return time.monotonic() < this.#validMonotonic && time.now() < this.#validWall;
  }

  /** The last renewal could not reach the store. */
  get storeAway(): boolean {
    return this.#storeAway;
  }

  async join(): Promise<void> {
    this.#extend(await this.#announce(), this.#losses);
    this.#arm();
  }

  async drain(): Promise<void> {
    this.#state = 'draining';
    await this.#options.store.renew(this.#id, this.#state);
  }

  async leave(): Promise<void> {
    this.#left = true;
    if (this.#timer !== undefined) this.#options.time.clearTimeout(this.#timer);
    await this.#options.store.leave(this.#id);
  }

  #newId(): string {
    return base64url(this.#options.random(ID_BYTES));
  }

  /** The moment before it was sent: what the lease counts from. */
  async #announce(): Promise<Moment> {
    const sent = this.#moment();
    const id = this.#id;
    await this.#options.store.announce(
      { id, state: this.#state, version: BUILD_VERSION },
      (from, message) => {
        if (id === this.#id) this.#options.receive(from, message);
      },
      () => {
        if (id === this.#id) this.#lost();
      },
    );
    this.#announcedId = id;
    return sent;
  }

  /** Until it has renewed its lease after this, it may have been buried by somebody who was not heard. */
  #lost(): void {
    this.#losses += 1;
    if (!this.#options.inProcess) this.check();
  }

  /** Renews now: something says that others take this instance for dead. */
  check(): void {
    if (this.#ticking || this.#left) return;
    if (this.#timer !== undefined) this.#options.time.clearTimeout(this.#timer);
    this.#tick();
  }

  #moment(): Moment {
    const { time } = this.#options;
    return { monotonic: time.monotonic(), wall: time.now() };
  }

  #extend({ monotonic, wall }: Moment, losses: number): void {
    this.#lossesRenewed = losses;
    this.#validMonotonic = monotonic + this.#options.leaseMs;
    this.#validWall = wall + this.#options.leaseMs;
    if (this.valid) this.#options.extended();
  }

  #arm(): void {
    const { inProcess, time, leaseMs } = this.#options;
    if (inProcess || this.#left) return;
    const due = time.monotonic() + leaseMs / RENEWALS;
    this.#timer = time.setTimeout(() => {
      this.#noteLateness(time.monotonic() - due);
      this.#tick();
    }, leaseMs / RENEWALS);
  }

  /** Two thirds of the lease without a renewal: a little more, and the sessions are somebody else's. */
  #noteLateness(ms: number): void {
    const { leaseMs, logger } = this.#options;
    if (ms < leaseMs / RENEWALS) return;
    logger.warn(
      { instance: this.#id, lateMs: Math.round(ms), leaseMs },
      'The event loop was blocked, or the process stopped, for so long that its lease nearly ran out or did',
    );
  }

  #tick(): void {
    this.#ticking = true;
    const losses = this.#losses;
    void this.#renew(losses).finally(() => {
      this.#ticking = false;
      // Lost meanwhile: at once again, unless the store cannot be reached.
      if (this.#losses > losses && !this.#storeAway && !this.#left) this.#tick();
      else this.#arm();
    });
  }

  async #renew(losses: number): Promise<void> {
    const { logger } = this.#options;
    try {
      const sent = this.#moment();
      // Past its end it is dead, whatever the store still holds.
      const alive = this.#options.inProcess || this.#inTime;
      if (alive && (await this.#options.store.renew(this.#id, this.#state))) this.#extend(sent, losses);
      else await this.#rejoin();
      this.#storeAway = false;
      this.#options.storeAnswers();
    } catch (err) {
      if (!this.#storeAway) logger.warn({ err }, 'The lease could not be renewed: the session store cannot be reached');
      this.#storeAway = true;
    }
  }

  async #rejoin(): Promise<void> {
    if (this.#left) return;
    const { logger, lapsed } = this.#options;
    const before = this.#id;
    this.#validMonotonic = -Infinity;
    this.#lapses += 1;
    // In one step: nothing is said or heard under the old id any more.
    this.#id = this.#newId();
    lapsed(before);
    // In an outage it goes without saying, and is tried again and again.
    logger[this.#storeAway ? 'debug' : 'warn'](
      { instance: before, lapses: this.#lapses },
      'The lease ran out; its sessions are claimed again under a new id',
    );
    await Promise.resolve(this.#options.store.leave(before)).catch(() => {});
    const losses = this.#losses;
    const sent = await this.#announce();
    if (this.#left) {
      await this.#options.store.leave(this.#id);
      return;
    }
    this.#extend(sent, losses);
  }
}
