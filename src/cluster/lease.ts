/**
 * The right of this instance to serve sessions from memory.
 *
 *     joining ──announced──▶ valid ──expired / removed──▶ lapsed ──announced under a new id──▶ valid
 *
 * An expired lease is never renewed. The instance takes a new id, stores a lease for it, and renews that lease while it
 * claims its sessions (`session/ownership/session-ownership.ts`), however long that takes. Each session is served once
 * it is claimed for the new id. No id owns anything before its lease is stored.
 *
 * How long it is valid is the smaller of what the monotonic clock and the wall clock show, counted from before its
 * renewal was sent: suspending the machine stops the monotonic clock, and the wall clock can be set. An instance that
 * lost its mailbox counts as lapsed until a later renewal succeeds, because another instance may have removed its
 * lease. In one process (`inProcess`) no takeover can go unnoticed, and the lease never expires.
 *
 * A crash leaves a lease that expires, or that is removed by an instance whose probe is not delivered.
 */
import type { InstanceLease } from '../stores/store.ts';
import { elapsedMs, idText, type Moment, momentOf, type RandomSource } from '../base/system.ts';
import type { Notices } from '../base/observe/notices.ts';
import type { Logger, TimeProvider } from '../base/types.ts';
import { BUILD_VERSION } from '../base/protocol/versions.ts';
import { LEASE_LOST, LEASE_RAN_OUT, STORE_STAYS_AWAY } from '../base/observe/lost-data.ts';
import { Outage } from './outage.ts';
import type { Directory, Messages } from './signed-messages.ts';
import { thisProcess } from '../base/this-process.ts';

const NEVER: Moment = { monotonic: -Infinity, wall: -Infinity };

const ID_BYTES = 9;
/** Renewals per lease time: two may fail before the lease expires. */
const RENEWALS = 3;

/** The instance that a lease belongs to. The lease calls it once it has joined. */
export interface Leaseholder {
  /** The mailbox of `id`, an announced id, got a message from another instance. Never throws. */
  receive(id: string, from: string, message: unknown): void;
  /** The id is dead: send nothing under it any more. */
  lapsed(): void;
  /** The lease is valid until its next expiry. */
  extended(): void;
  /** `wasAway`: the renewal before did not reach the store. */
  storeReachable(wasAway: boolean): void;
  /** Called once in an outage: the lease has run out, and the store has been away for `maxWaitMs`. */
  cutOff(): void;
}

export interface LeaseOptions {
  readonly directory: Pick<Directory, 'renew' | 'leave'>;
  readonly messages: Pick<Messages, 'announce'>;
  readonly inProcess: boolean;
  /** A dashboard acts with each renewal, so the lease is renewed in one process too. */
  isWatched?(): boolean;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly time: Required<TimeProvider>;
  readonly logger: Logger;
  readonly notices: Pick<Notices, 'emit'>;
  /** How long what needs the store waits for it. */
  readonly maxWaitMs: number;
}

export class Lease {
  readonly #options: LeaseOptions;
  #holder: Leaseholder | undefined;
  #joined = false;
  /** It stays the same when the lease lapses. */
  readonly firstId: string;
  #id: string;
  #announcedId: string;
  /** What other instances see. */
  #state: InstanceLease['state'] = 'serving';
  /** The lease was given back, so nothing is renewed any more. */
  #left = false;
  /** When the last successful renewal of this id was sent. */
  #renewalSent = NEVER;
  /** How often the mailbox was lost in all, and how often when the last successful renewal began. */
  #losses = 0;
  #lossesRenewed = 0;
  #ticking = false;
  #timer: unknown;
  #ids = 0;
  #server: string | undefined;
  /** The stored lease lacks it. */
  #serverIsNew = false;
  readonly #outage: Outage;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#outage = new Outage(options);
    this.#id = this.#announcedId = this.firstId = idText(options.random(ID_BYTES));
  }

  get id(): string {
    return this.#id;
  }

  /**
   * The id for which sessions are claimed. Until a new id is announced that is the dead id; sessions claimed for it are
   * claimed again for the new id. Other instances treat an owner without a stored lease as dead, including an id that
   * is not announced yet.
   */
  get owner(): string {
    return this.#announcedId;
  }

  /** Whether sessions that are claimed for `owner` may be served from memory now. */
  get valid(): boolean {
    const { inProcess } = this.#options;
    return inProcess ? this.#joined : !this.#mailboxLost && this.remainingMs !== 0;
  }

  /** How long the lease is valid without another renewal; `undefined`: it does not expire. */
  get remainingMs(): number | undefined {
    const { inProcess, time, leaseMs } = this.#options;
    return inProcess ? undefined : Math.max(0, leaseMs - elapsedMs(time, this.#renewalSent));
  }

  /** How often this instance was without its lease or mailbox, and has both again. */
  get gaps(): number {
    return this.#ids + this.#lossesRenewed;
  }

  /**
   * The store was away until just now: an owner without a lease may be about to take it again, and one without a
   * mailbox to open it again.
   */
  get ownersMayReturn(): boolean {
    return this.#outage.ownersMayReturn(this.#mailboxLost);
  }

  /** And the lease was not renewed since. */
  get #mailboxLost(): boolean {
    return this.#losses !== this.#lossesRenewed;
  }

  /** The last renewal could not reach the store. */
  get storeUnavailable(): boolean {
    return this.#outage.isNow;
  }

  /** Whether the store is open, and the first lease was sent to it. */
  get joined(): boolean {
    return this.#joined;
  }

  /** The name that the server of this instance gives itself; `undefined`: not known yet. */
  get server(): string | undefined {
    return this.#server;
  }

  /** The lease has this name from its next renewal on. */
  serves(server: string): void {
    this.#server = server;
    this.#serverIsNew = this.#joined;
    if (this.#options.inProcess) this.renewNow();
  }

  /** May be called again after it has failed. */
  async join(holder: Leaseholder): Promise<void> {
    this.#holder = holder;
    this.#joined = true;
    // A mailbox that is lost during this is no reason to renew a lease that is not stored yet.
    this.#ticking = true;
    try {
      await this.#announce();
    } catch (cause) {
      this.#joined = false;
      this.#ticking = false;
      // The lease may be stored all the same, and no id is announced twice.
      await this.#leaveDead(this.#id);
      this.#id = this.#announcedId = this.#nextId();
      throw cause;
    }
    this.#options.notices.emit({ kind: 'instanceJoined', instance: this.#id });
    this.#outage.joined();
    this.#ticked();
  }

  async drain(): Promise<void> {
    this.#state = 'draining';
    if (this.#joined) await this.#options.directory.renew(this.#id, this.#state);
  }

  async leave(): Promise<void> {
    this.#state = 'draining';
    this.#left = true;
    if (this.#timer !== undefined) this.#options.time.clearTimeout(this.#timer);
    if (this.#joined) await this.#options.directory.leave(this.#id);
  }

  /** No id is announced twice, and each says which ones are dead. */
  #nextId(): string {
    this.#ids += 1;
    return `${this.firstId}.${this.#ids}`;
  }

  async #announce(): Promise<void> {
    const [id, sent, losses] = [this.#id, momentOf(this.#options.time), this.#losses];
    await this.#options.messages.announce(
      {
        id,
        state: this.#state,
        version: BUILD_VERSION,
        process: { ...thisProcess(), first: this.firstId },
        ...(this.#server !== undefined && { server: this.#server }),
      },
      (from, message) => this.#holder?.receive(id, from, message),
      () => this.#lost(id),
    );
    this.#announcedId = id;
    if (this.#left) await this.#options.directory.leave(id);
    else this.#extend(sent, losses);
  }

  /**
   * Until the next successful renewal, another instance may have removed this lease because its probe was not
   * delivered.
   */
  #lost(id: string): void {
    if (id !== this.#id) return;
    this.#losses += 1;
    this.renewNow();
  }

  /** Renews now, because another instance seems to believe this instance dead. */
  renewNow(): void {
    if (this.#ticking || this.#left || !this.#joined) return;
    if (this.#timer !== undefined) this.#options.time.clearTimeout(this.#timer);
    this.#tick();
  }

  /** It is valid from before it was sent. `losses`: of the mailbox, by then. */
  #extend(sent: Moment, losses: number): void {
    this.#lossesRenewed = losses;
    this.#renewalSent = sent;
    if (this.valid) this.#holder?.extended();
  }

  /** The lease counts from when its renewal was sent, and so does the time until the next one. */
  #arm(): void {
    const { inProcess, time, leaseMs, isWatched } = this.#options;
    if ((inProcess && isWatched?.() !== true) || this.#left) return;
    const now = time.monotonic();
    const due = this.storeUnavailable
      ? now + Math.min(leaseMs / RENEWALS, this.#outage.pauseMs)
      : Math.max(now, this.#renewalSent.monotonic + leaseMs / RENEWALS);
    this.#timer = time.setTimeout(() => {
      if (!this.storeUnavailable) this.#noteLateness(time.monotonic() - due);
      this.#tick();
    }, due - now);
  }

  /**
   * Warns when two thirds of the lease pass without a renewal: a little more, and other instances take the sessions
   * over.
   */
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
    void this.#renew().finally(() => this.#ticked());
  }

  #ticked(): void {
    this.#ticking = false;
    // The mailbox was lost during the renewal: renew again at once, unless the store is unreachable.
    if (this.#mailboxLost && !this.storeUnavailable && !this.#left) this.#tick();
    else this.#arm();
  }

  async #renew(): Promise<void> {
    const { logger, time, maxWaitMs } = this.#options;
    const [losses, mailboxWasLost] = [this.#losses, this.#mailboxLost];
    try {
      const sent = momentOf(time);
      // After its expiry the id is dead, even if the store still has its lease.
      const alive = this.remainingMs !== 0;
      const server = this.#serverIsNew ? this.#server : undefined;
      if (alive && (await this.#options.directory.renew(this.#id, this.#state, server))) {
        if (server !== undefined) this.#serverIsNew = false;
        this.#extend(sent, losses);
      } else await this.#rejoin(alive && this.remainingMs !== 0 && !this.#mailboxLost);
      this.#holder?.storeReachable(this.#outage.renewed(mailboxWasLost || this.#mailboxLost));
    } catch (err) {
      if (!this.storeUnavailable)
        logger.warn({ err }, 'The lease could not be renewed: the session store cannot be reached');
      this.#outage.failed();
      // The store may be away for this instance alone, and another one may serve its sessions.
      if (this.valid || !this.#outage.cutsOff()) return;
      logger.fatal({ err, maxWaitMs }, STORE_STAYS_AWAY);
      this.#holder?.cutOff();
    }
  }

  /** `early`: the store has no lease, although none has expired and no other instance had a reason to remove it. */
  async #rejoin(early: boolean): Promise<void> {
    if (this.#left) return;
    const { logger } = this.#options;
    const before = this.#id;
    this.#renewalSent = NEVER;
    // In one step, so that nothing is sent or received under the old id afterwards.
    this.#id = this.#nextId();
    this.#holder?.lapsed();
    const fields = { instance: before, lapses: this.#ids };
    if (early) logger.fatal(fields, LEASE_LOST);
    // During an outage of the store lapses are expected.
    else logger[this.storeUnavailable ? 'debug' : 'warn'](fields, LEASE_RAN_OUT);
    const owner = this.#announcedId;
    // An id that was never announced owns nothing.
    if (before === owner)
      this.#options.notices.emit({ kind: 'leaseLapsed', instance: before, lost: early });
    await this.#leaveDead(before);
    await this.#announce();
    if (!this.#left)
      this.#options.notices.emit({ kind: 'instanceJoined', instance: this.#id, before: owner });
    // A store that was frozen may have stored the last renewal of the dead id after it had been left.
    void this.#leaveDead(owner);
  }

  async #leaveDead(id: string): Promise<void> {
    // A lease that a store which is away still has runs out.
    await (async () => this.#options.directory.leave(id))().catch(() => {});
  }
}
