/**
 * This process as one instance of its deployment: an id, a lease, a mailbox, and links to the other instances. Every
 * start has a new id.
 *
 *     serving ──drain──▶ draining ──leave──▶ gone        (its lease: `lease.ts`)
 *
 * All messages between instances pass through here (`messages.ts`). Relayed calls use links (`links.ts`), which lose
 * nothing. Bus events are sent without a link. While the store is away they wait (`bus-outbox.ts`), and an instance
 * that was without its lease or mailbox asks for those of that time.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { leaseLost, type SojournError, storeUnavailable } from '../base/errors.ts';
import { elapsedMs, type Moment, momentOf } from '../base/system.ts';
import type { InstanceLease } from '../stores/store.ts';
import type { Logger, TimeProvider } from '../base/types.ts';
import { BusOutbox } from './bus-outbox.ts';
import { Lease, type Leaseholder, type LeaseOptions } from './lease.ts';
import { Strangers } from './strangers.ts';
import { Links, PASSING_CAUSES, type RelayedCalls } from './links.ts';
import { type OrderMessage, type OrdersTaken, takeOrder } from './orders.ts';
import {
  type ClusterMessage,
  LINK_VERSION,
  type LookMessage,
  type RoomMessage,
  type MissedMessage,
  type Notification,
  type NotifyMessage,
} from './messages.ts';
import type { Directory, Messages } from './signed-messages.ts';

/** What serves requests in this instance. */
export interface ServedHere {
  readonly events: { readonly dispatcher: { look(): void } } | undefined;
  readonly registry: {
    /** This instance has a lease, again or still. After a lapse the lease has a new id (`owner`). */
    readonly claims: { extended(): void };
    /** This instance has had no store for `maxWaitMs` and has no lease. Another instance may serve its sessions. */
    endToResumeElsewhere(): void;
    /** Ends an idle session that counts in this share, where that is full. Never rejects. */
    readonly stored: { makeRoom(share: string): Promise<void> };
  };
  readonly legacy: {
    readonly relay: RelayedCalls;
    readonly waiting: {
      wake(): void;
      /** The same for calls that wait, and whose clients can resume. */
      endToResumeElsewhere(): void;
    };
  };
  readonly once: { extended(): void };
  readonly live: { extended(): void; rung(id: string): void };
  /** `undefined`: without the option `tasks`. */
  readonly tasks: { readonly tasks: { extended(): void; rung(id: string): void } } | undefined;
  readonly bus: { deliver(event: ServerEvent): void };
  readonly orders: OrdersTaken;
  readonly notifications: { deliver(session: string | null, notification: Notification): unknown };
  /** `undefined`: the store cannot be away. */
  readonly outage: { renewed(wasAway: boolean): void } | undefined;
}

export interface InstanceOptions extends Omit<LeaseOptions, 'isWatched'> {
  readonly directory: Directory;
  readonly messages: Messages;
  readonly deployment: string;
}

/** How long peers may take to acknowledge the last messages. */
const FLUSH_MS = 500;
const NOT_ACCEPTED = `The instances that were here before this one take none of its messages: ${PASSING_CAUSES}`;

export class Instance implements Leaseholder {
  readonly #directory: Directory;
  readonly #messages: Messages;
  readonly #logger: Logger;
  readonly lease: Lease;
  readonly links: Links;
  /** Every instance of its deployment runs in this process. */
  readonly inProcess: boolean;
  /** Messages arrive from `join` on. */
  #served!: ServedHere;
  /** No other instance had a lease when the leases were last read: at the start, and with each renewal. */
  #alone = true;
  readonly #outbox: BusOutbox;
  readonly #strangers: Strangers;
  readonly #time: Required<TimeProvider>;
  /** When messages last arrived for sure, and after how many gaps of the lease. */
  #heard: Moment;
  #gaps = 0;
  /** Since when messages arrive again, and after how many gaps. */
  #back: { readonly at: Moment; readonly gaps: number };
  /** Instances that had a lease before this one. Empty once half of those that live take its messages. */
  #before: readonly string[] = [];
  #watch: ((leases: readonly InstanceLease[]) => void) | undefined;

  constructor(options: InstanceOptions) {
    const { directory, messages, inProcess, logger, deployment } = options;
    this.#directory = directory;
    this.#messages = messages;
    this.#logger = logger;
    this.inProcess = inProcess;
    this.lease = new Lease({ ...options, isWatched: () => this.#watch !== undefined });
    this.#outbox = new BusOutbox(options, this.lease);
    this.#strangers = new Strangers(deployment, logger);
    this.#time = options.time;
    this.#heard = momentOf(this.#time);
    this.#back = { at: this.#heard, gaps: 0 };
    this.links = new Links(options, this.lease);
  }

  // ——— Leaseholder ———

  lapsed(): void {
    this.links.reset();
  }

  extended(): void {
    const { gaps } = this.lease;
    if (gaps !== this.#back.gaps) this.#back = { at: momentOf(this.#time), gaps };
    void this.#readOthers();
    this.#served.registry.claims.extended();
    this.#served.once.extended();
    this.#served.live.extended();
    this.#served.tasks?.tasks.extended();
    this.#served.legacy.waiting.wake();
  }

  storeReachable(wasAway: boolean): void {
    this.#served.outage?.renewed(wasAway);
    // The other instances have taken their leases again by then, and with them their mailboxes.
    if (this.lease.ownersMayReturn) return;
    this.#outbox.publishUnsent();
    void this.#askForMissed();
  }

  /** While this instance was without its lease or mailbox, nothing was published to it. */
  async #askForMissed(): Promise<void> {
    const [now, { gaps }] = [momentOf(this.#time), this.lease];
    const ms = elapsedMs(this.#time, this.#heard);
    const backMs = elapsedMs(this.#time, this.#back.at);
    try {
      if (gaps !== this.#gaps && !(await this.notify(undefined, { kind: 'missed', ms, backMs })))
        return;
      [this.#heard, this.#gaps] = [now, gaps];
    } catch (err) {
      this.#logger.debug(
        { err },
        'Missed changes could not be asked for: the session store cannot be reached',
      );
    }
  }

  async #sendMissed(to: string, missed: MissedMessage): Promise<void> {
    for (const event of this.#outbox.recent(missed))
      await this.#messages.send(this.lease.id, to, { kind: 'bus', event });
  }

  cutOff(): void {
    if (this.#alone) return;
    this.#served.registry.endToResumeElsewhere();
    this.#served.legacy.waiting.endToResumeElsewhere();
  }

  /** Why requests should go to other instances, although this one serves. */
  get notReady(): string | undefined {
    return this.#before.length === 0 ? undefined : NOT_ACCEPTED;
  }

  /** What a request lacks that waits for the lease. */
  get missing(): SojournError {
    return this.lease.joined ? leaseLost() : storeUnavailable('it is not open yet');
  }

  /** May be called again after it has failed. */
  async join(served: ServedHere): Promise<void> {
    this.#served = served;
    this.links.serve(served.legacy.relay);
    if (!this.inProcess) this.#before = (await this.#directory.list()).map(({ id }) => id);
    await this.lease.join(this);
    await this.#readOthers();
  }

  /** Announces the drain in the lease. An unreachable store does not prevent draining. */
  async drain(): Promise<void> {
    try {
      await this.lease.drain();
    } catch (err) {
      this.#logger.warn(
        { err },
        'The lease could not be marked as draining: the session store cannot be reached',
      );
    }
  }

  async leave(): Promise<void> {
    await this.links.flushed(FLUSH_MS);
    this.links.reset();
    try {
      await this.lease.leave();
    } catch (err) {
      this.#logger.warn(
        { err },
        'The lease could not be given back; it runs out: the session store cannot be reached',
      );
    }
  }

  async leases(): Promise<readonly InstanceLease[]> {
    return this.#directory.list();
  }

  /** The ids of all instances that have a lease. */
  async living(): Promise<ReadonlySet<string>> {
    return new Set((await this.leases()).map(({ id }) => id));
  }

  /** Another instance that takes new sessions, as far as the store knows. */
  async otherServing(): Promise<string | undefined> {
    return (await this.othersServing())[0];
  }

  /** The same, but no crashed one whose lease has not run out. Its lease is removed, so that later looks agree. */
  async otherListening(): Promise<string | undefined> {
    for (const id of await this.othersServing()) {
      if (!this.links.heardRecently(id)) await this.links.suspect(id);
      if (this.links.to(id) !== undefined) return id;
    }
    return undefined;
  }

  /** Every other instance that takes new sessions, as far as the store knows. */
  async othersServing(): Promise<string[]> {
    const leases = (await this.#listed()) ?? [];
    const others = leases
      .filter(({ id, state }) => id !== this.lease.id && state === 'serving')
      .map(({ id }) => id);
    return others.filter((id) => !this.links.isStuck(id));
  }

  /** The name that the server of this instance gives itself. Only the first name counts. */
  serves(server: string | undefined): void {
    if (server !== undefined && this.lease.server === undefined) this.lease.serves(server);
  }

  async #readOthers(): Promise<void> {
    const leases = await this.#listed();
    if (leases === undefined) return;
    this.#watch?.(leases);
    const { server } = this.lease;
    if (server !== undefined) this.#strangers.note(server, leases);
    // No lease expires where every instance is in this process.
    if (this.inProcess) return;
    this.#alone = leases.every(({ id }) => id === this.lease.id);
    await this.#noteAccepting(leases);
  }

  /**
   * Until the instances that were here before accept the key of this one, it is not ready, so that a rollout with a
   * wrong key stops at its first instance. Of two instances that refuse each other only the later one waits. Half
   * suffices: one faulty instance stops no rollout, and in a rollout the new instances, which accept each other, are
   * fewer than the old ones.
   */
  async #noteAccepting(leases: readonly InstanceLease[]): Promise<void> {
    const before = leases.filter(({ id }) => this.#before.includes(id));
    const key = leases.find(({ id }) => id === this.lease.id)?.keys?.[0] ?? '';
    const accepting = before.filter(({ keys }) => keys?.includes(key) === true);
    const reached = await Promise.all(
      accepting.map(({ id }) => this.listens(id).catch(() => false)),
    );
    if (2 * reached.filter(Boolean).length >= before.length) this.#before = [];
  }

  /** `undefined`: the store cannot be reached. */
  async #listed(): Promise<readonly InstanceLease[] | undefined> {
    try {
      return await this.#directory.list();
    } catch (err) {
      this.#logger.debug(
        { err },
        'The other instances could not be listed: the session store cannot be reached',
      );
      return undefined;
    }
  }

  /** From now on `watch` gets the leases that are read with each renewal. */
  watch(watch: (leases: readonly InstanceLease[]) => void): void {
    this.#watch = watch;
    this.lease.renewNow();
  }

  /** Whether an instance that has no lease gave it back. */
  async left(id: string): Promise<boolean> {
    return this.#directory.left(id);
  }

  /** Whether another instance seems to listen. It may be dead and seem so until its lease expires. */
  async listens(id: string): Promise<boolean> {
    return (await this.#messages.send(this.lease.id, id, { kind: 'probe' })) === 'sent';
  }

  /** To another instance, or to all others: at most once. `false`: it was not sent. */
  async notify(
    to: string | undefined,
    message: NotifyMessage | LookMessage | RoomMessage | MissedMessage | OrderMessage,
  ): Promise<boolean> {
    if (!this.lease.valid) return false;
    if (to !== undefined) return (await this.#messages.send(this.lease.id, to, message)) === 'sent';
    await this.#messages.publish(this.lease.id, message);
    return true;
  }

  /** Asks the other instances to end an idle session of this share. `false`: there are none. Never rejects. */
  async askForRoom(share: string): Promise<boolean> {
    const leases = (await this.#listed()) ?? [];
    if (leases.every(({ id }) => id === this.lease.id)) return false;
    return this.notify(undefined, { kind: 'room', share }).catch((err: unknown) => {
      this.#logger.debug(
        { err },
        'The other instances could not be asked for room: the session store cannot be reached',
      );
      return false;
    });
  }

  publish(event: ServerEvent): Promise<void> {
    return this.#outbox.publish(event);
  }

  /** Takes a message from the mailbox of `id`. Never throws, because the store is the caller. */
  receive(id: string, from: string, given: unknown): void {
    // After a lapse, messages to the earlier id may still arrive.
    if (id !== this.lease.id) return;
    try {
      const message = given as ClusterMessage;
      switch (message.kind) {
        case 'link':
          return message.v === LINK_VERSION
            ? this.links.receive(from, message)
            : this.links.refuse(from, message);
        case 'unlinked':
          return this.links.refuse(from);
        case 'probe':
          // Receiving the message is enough.
          return undefined;
        case 'bus':
          return this.#served.bus.deliver(message.event);
        case 'notify': {
          const { session, method, params } = message;
          return void this.#served.notifications.deliver(session, {
            method,
            ...(params && { params }),
          });
        }
        case 'missed':
          return void this.#sendMissed(from, message).catch(() => {});
        case 'look':
          if (message.of === 'events') return this.#served.events?.dispatcher.look();
          if (message.of === 'handles') return this.#served.live.rung(message.id);
          return this.#served.tasks?.tasks.rung(message.id);
        case 'room':
          return void this.#served.registry.stored.makeRoom(message.share);
        case 'order':
          // Messages within one process are not signed.
          if (!this.inProcess) void takeOrder(message, this.#served.orders, this.#logger);
          return undefined;
        default:
          return this.#logger.warn(
            { from },
            'Another instance sent a message that this version cannot read',
          );
      }
    } catch (err) {
      this.#logger.error({ err, from }, 'A message of another instance could not be handled');
    }
  }
}
