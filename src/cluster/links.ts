/**
 * The links of this instance, and the decision that a peer is dead. A peer without a mailbox, with a refused connection
 * or with a long silence is only suspected, because living instances have these too. So a suspect is examined:
 *
 *     no lease ──▶ dead
 *     a lease, and a probe is delivered ──▶ alive, as far as this instance can tell
 *     a lease, and a probe is not delivered ──▶ buried: the lease is removed, if it is still the lease that was read
 *
 * An id names its instance (`Lease`), so the first message under a new id shows that the ids before are dead. Otherwise
 * a peer that still runs the first attempt of a call could start its retry.
 *
 * A living instance whose mailbox was closed counts as lapsed until it has reopened the mailbox and renewed its lease.
 * Either the renewal is first, and the burial fails; or the instance finds its lease removed.
 */
import { BoundedMap } from '../base/bounded-map.ts';
import type { InstanceLease } from '../stores/store.ts';
import { LASTING_MS, limitedLogger } from '../base/options/log-limit.ts';
import type { Logger } from '../base/types.ts';
import { within } from '../base/system.ts';
import { Link } from './instance-link.ts';
import type { Lease, LeaseOptions } from './lease.ts';
import type { CallItem, ClusterMessage, LinkMessage } from './messages.ts';
import type { Directory, Messages } from './signed-messages.ts';

/** Ids that are known to be dead; their messages are dropped. Above this number the oldest are forgotten. */
const DEAD_KEPT = 1_000;
const HEARD_PART = 10;
const SILENT_LEASES = 10;
/** A peer that is frozen or crashed has lost its lease by then. */
const UNANSWERED_LEASES = 2;

/** For the log, and for `/readyz`. */
export const PASSING_CAUSES =
  'the two have different secrets; an account of the store may not send messages (PUBLISH on Redis, INSERT into ' +
  'messages on PostgreSQL); a queue of the store is full';
const OTHER_VERSION =
  'Another instance speaks another version of the protocol between instances; calls between the two are refused';
const NOT_PASSING =
  'Another instance has a lease and answers no message of this one, so requests to its sessions are refused here. ' +
  `Likely causes: ${PASSING_CAUSES}`;

export interface LinksOptions extends Omit<LeaseOptions, 'inProcess' | 'isWatched' | 'random'> {
  readonly directory: Directory;
  readonly messages: Messages;
}

/** What is done here with calls that instances relay to each other. */
export interface RelayedCalls {
  receive(link: Link, item: CallItem): void;
  /** This end of the link or the other is dead. Calls that are under way on it have an unknown outcome. */
  linkFailed(link: Link): void;
  /** The peer has a lease, and has answered nothing for long: calls of clients connected here end. */
  linkStuck(link: Link): void;
}

export class Links {
  readonly #options: LinksOptions;
  readonly #lease: Pick<Lease, 'id' | 'ownersMayReturn' | 'valid'>;
  /** From `serve` on: messages arrive later. */
  #calls!: RelayedCalls;
  readonly #links = new Map<string, Link>();
  readonly #dead = new BoundedMap<string, true>(DEAD_KEPT);
  readonly #lasting: Logger;
  /** Peers of which the log says that messages do not pass. */
  readonly #stuck = new Set<string>();
  /** Why the last message to a peer could not be sent. */
  readonly #unsent = new Map<string, string>();
  readonly #examined = new Map<string, Promise<void>>();

  constructor(options: LinksOptions, lease: Pick<Lease, 'id' | 'ownersMayReturn' | 'valid'>) {
    this.#options = options;
    this.#lease = lease;
    this.#lasting = limitedLogger(options.logger, options.time, 1, LASTING_MS);
  }

  serve(calls: RelayedCalls): void {
    this.#calls = calls;
  }

  /** `undefined`: the peer is dead. */
  to(peer: string): Link | undefined {
    return this.#dead.has(peer) ? undefined : (this.#links.get(peer) ?? this.#open(peer));
  }

  /**
   * Whether the peer has sent a message so recently that its lease need not be read. Once in a lease time it is read
   * all the same. If the peer is dead, the link finds out.
   */
  heardRecently(peer: string): boolean {
    const link = this.#links.get(peer);
    return link?.leaseSeen === true && link.heardWithin(this.#options.leaseMs / HEARD_PART);
  }

  /** Whether an instance was heard recently or has a lease. */
  async isAlive(peer: string): Promise<boolean> {
    return this.heardRecently(peer) || (await this.#read(peer)) !== undefined;
  }

  /**
   * Resolves when the peer has answered just now, or is dead (`false`). Without a lease nothing is asked: a peer takes an
   * id whose lease is not stored yet for dead, and for ever.
   */
  async answers(peer: string): Promise<boolean> {
    if (this.heardRecently(peer)) return true;
    await this.suspect(peer);
    if (!this.#lease.valid) return true;
    const link = this.to(peer);
    if (link === undefined) return false;
    const release = link.hold('call');
    link.hurry();
    await link.taken();
    release();
    return !link.failed;
  }

  /** Whether messages between this instance and a peer with a lease do not pass. */
  isStuck(peer: string): boolean {
    const { maxWaitMs, leaseMs } = this.#options;
    const unansweredMs = this.#links.get(peer)?.unansweredMs ?? 0;
    return unansweredMs >= Math.max(maxWaitMs, UNANSWERED_LEASES * leaseMs);
  }

  receive(from: string, message: LinkMessage): void {
    if (message.to === this.#lease.id) this.to(from)?.receive(message);
  }

  /**
   * The peer speaks another version of the protocol. `message`: what it sent cannot be read here, and it learns so.
   * `undefined`: the peer has said so itself, and nothing that was sent to it has run there.
   */
  refuse(from: string, message?: LinkMessage): void {
    if (message !== undefined && message.to !== this.#lease.id) return;
    const fields = { instance: from, ...(message && { version: message.v }) };
    this.#lasting.error(fields, OTHER_VERSION);
    if (message !== undefined) void this.#send(from, { kind: 'unlinked' });
    this.#drop(from);
  }

  /** An id that is dead for ever: its instance has a later one, or its lease is gone. */
  died(peer: string): void {
    this.#dead.set(peer, true);
    this.#drop(peer);
  }

  /** The id of this instance is dead. Every call under way has an unknown outcome. */
  reset(): void {
    for (const peer of this.#links.keys()) this.#drop(peer);
    this.#dead.clear();
  }

  /** Resolves when everything pushed has been taken, or after `ms`. */
  async flushed(ms: number): Promise<void> {
    const links = [...this.#links.values()];
    // A ping carries pending acknowledgements, and it shows whether the peer is alive. A peer without an answer that
    // waits here sends the call to the next owner again.
    for (const link of links) link.hurry();
    const taken = Promise.all(links.map((link) => link.taken()));
    await within(this.#options.time, ms, taken, () => {});
  }

  #open(peer: string): Link | undefined {
    const { time, leaseMs } = this.#options;
    const opened = idParts(peer);
    for (const [known, link] of this.#links) {
      const { first, lapses } = idParts(known);
      if (first === opened.first) this.died(lapses < opened.lapses ? known : peer);
      // The new peer may replace a peer that has been silent for long, and no other check would notice that.
      else if (!link.heardWithin(SILENT_LEASES * leaseMs)) void this.suspect(known);
    }
    if (this.#dead.has(peer)) return undefined;
    const link: Link = new Link({
      peer,
      time,
      leaseMs,
      send: (message) => void this.#send(peer, message),
      receive: (item) => this.#calls.receive(link, item),
      onDoubt: () => void this.suspect(peer),
    });
    this.#links.set(peer, link);
    return link;
  }

  async #send(peer: string, message: ClusterMessage): Promise<'sent' | 'suspect' | 'unknown'> {
    const { messages, logger } = this.#options;
    try {
      const sent = await messages.send(this.#lease.id, peer, message);
      if (sent === 'suspect') void this.suspect(peer);
      this.#unsent.delete(peer);
      return sent;
    } catch (err) {
      // The message is sent again. An instance that cannot reach the store for long loses its lease anyway.
      logger.debug({ err, instance: peer }, 'A message to another instance could not be sent');
      this.#unsent.set(peer, causeOf(err));
      return 'unknown';
    }
  }

  /** Reads the lease of a peer, and buries a suspect without a listener. */
  suspect(peer: string): Promise<void> {
    const examined = this.#examined.get(peer) ?? this.#suspect(peer);
    this.#examined.set(peer, examined);
    return examined;
  }

  async #suspect(peer: string): Promise<void> {
    try {
      if (await this.#examine(peer)) this.#checkAnswers(peer);
    } catch (err) {
      this.#options.logger.debug(
        { err, instance: peer },
        'The lease of another instance could not be read: the session store cannot be reached',
      );
    } finally {
      this.#examined.delete(peer);
    }
  }

  /** The peer has a lease now. */
  #checkAnswers(peer: string): void {
    const { leaseMs, logger } = this.#options;
    const link = this.#links.get(peer);
    if (link === undefined || link.unansweredMs < UNANSWERED_LEASES * leaseMs)
      return void this.#stuck.delete(peer);
    const fields = {
      instance: peer,
      unansweredMs: Math.round(link.unansweredMs),
      reason: this.#unsent.get(peer),
    };
    if (!this.#stuck.has(peer)) logger.fatal(fields, NOT_PASSING);
    this.#stuck.add(peer);
    if (this.isStuck(peer)) this.#calls.linkStuck(link);
  }

  /** `undefined` is final. */
  async #read(peer: string): Promise<InstanceLease | undefined> {
    const lease = await this.#options.directory.read(peer);
    if (lease === undefined) this.died(peer);
    // The link of the first call to this peer knows of it too.
    else this.to(peer)?.sawLease();
    return lease;
  }

  async #examine(peer: string): Promise<boolean> {
    const { directory } = this.#options;
    const lease = await this.#read(peer);
    if (lease === undefined) return false;
    if ((await this.#send(peer, { kind: 'probe' })) !== 'suspect' || this.#lease.ownersMayReturn)
      return true;
    if (!(await directory.bury(lease))) return true;
    this.#options.logger.warn(
      { instance: peer },
      'An instance died, or gets no messages: its lease is removed, and its sessions continue at the others',
    );
    this.#options.notices.emit({ kind: 'leaseRemoved', instance: peer });
    this.died(peer);
    return false;
  }

  #drop(peer: string): void {
    const link = this.#links.get(peer);
    this.#unsent.delete(peer);
    this.#stuck.delete(peer);
    if (link === undefined) return;
    this.#links.delete(peer);
    link.fail();
    this.#calls.linkFailed(link);
  }
}

/** An instance is `first`, then `first.1`, `first.2` and so on: the ids before the present one are dead. */
function idParts(id: string): { readonly first: string; readonly lapses: number } {
  const [first = '', lapses = '0'] = id.split('.');
  return { first, lapses: Number(lapses) };
}

/** The innermost message of an error. */
function causeOf(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error
    ? causeOf(error.cause)
    : String(error);
}
