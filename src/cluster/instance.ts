/**
 * This process as one instance of its deployment: an id, a lease, a mailbox, and links to the other instances. Every
 * start has a new id.
 *
 *     serving ──drain──▶ draining ──leave──▶ gone        (its lease: `lease.ts`)
 *
 * All messages between instances pass through here. Relayed calls and ends use links (`link.ts`), which lose nothing.
 * Bus events are sent without a link, at most once.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import type { InstanceLease, InstanceMessage, InstanceStore } from '../stores/store.ts';
import type { RandomSource } from '../options/system.ts';
import type { Logger, TimeProvider } from '../types.ts';
import { Lease } from './lease.ts';
import type { Link, LinkItem } from './link.ts';
import { Links } from './links.ts';
import { PeerVersions } from './peer-versions.ts';

export interface InstanceHandlers {
  /** This instance has a lease, again or still. After a lapse the lease has a new id (`owner`). */
  valid(): void;
  /** A part of a relayed call. */
  item(link: Link, item: LinkItem): void;
  /** This end of the link or the other is dead. Calls that are under way on it have an unknown outcome. */
  linkFailed(link: Link): void;
  /** Ends a session that lives here. */
  terminate(id: string): Promise<boolean>;
  bus(event: ServerEvent): void;
}

export interface InstanceOptions {
  readonly directory: InstanceStore;
  /** Every instance is in this process, so no lease expires. */
  readonly inProcess: boolean;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly time: Required<TimeProvider>;
  readonly logger: Logger;
  /** The lease was renewed, or taken again. */
  onStoreReachable(): void;
}

/** A request to end a session, sent to its owner. */
interface EndRequest {
  readonly link: Link;
  /** `undefined`: the outcome is unknown. */
  settle(done: boolean | undefined): void;
}

const ITEM_BYTES = 64;
/** How long peers may take to acknowledge the last messages. */
const FLUSH_MS = 500;

export class Instance {
  readonly #directory: InstanceStore;
  readonly #logger: Logger;
  readonly #lease: Lease;
  readonly #links: Links;
  readonly #peers: PeerVersions;
  #handlers: InstanceHandlers | undefined;
  #asks = 0;
  readonly #endRequests = new Map<number, EndRequest>();

  constructor({ directory, inProcess, leaseMs, random, time, logger, onStoreReachable }: InstanceOptions) {
    this.#directory = directory;
    this.#logger = logger;
    this.#peers = new PeerVersions({ list: () => directory.list(), inProcess, logger });
    this.#links = new Links({
      directory,
      time,
      leaseMs,
      logger,
      self: () => this.id,
      ownersMayReturn: () => this.ownersMayReturn,
      receive: (link, item) => this.#item(link, item),
      failed: (link) => this.#linkFailed(link),
    });
    this.#lease = new Lease({
      store: directory,
      inProcess,
      leaseMs,
      random,
      time,
      logger,
      receive: (from, message) => this.#receive(from, message),
      lapsed: (id) => this.#links.reset(id),
      extended: () => {
        this.#links.announceNewId();
        void this.#peers.read();
        this.#handlers?.valid();
      },
      onStoreReachable,
    });
  }

  /** Changes with every start, and after every lapse of the lease. */
  get id(): string {
    return this.#lease.id;
  }

  /** The id for which sessions are claimed here. */
  get owner(): string {
    return this.#lease.owner;
  }

  /** Whether sessions may be served from memory now. */
  get valid(): boolean {
    return this.#lease.valid;
  }

  /** An owner without a lease may be about to take it again. */
  get ownersMayReturn(): boolean {
    return this.#lease.ownersMayReturn;
  }

  /** Another instance took a session of this instance over, so it believes this instance dead. Checks the lease. */
  check(): void {
    this.#lease.check();
  }

  /** Whether event ids may carry suffixes: no instance of the deployment is too old to read them. */
  get idSuffixes(): boolean {
    return this.#peers.idSuffixes;
  }

  get storeAway(): boolean {
    return this.#lease.storeAway;
  }

  async join(handlers: InstanceHandlers): Promise<void> {
    this.#handlers = handlers;
    await this.#lease.join();
    await this.#peers.read();
  }

  /** Announces the drain in the lease. An unreachable store does not prevent draining. */
  async drain(): Promise<void> {
    try {
      await this.#lease.drain();
    } catch (err) {
      this.#logger.warn({ err }, 'The lease could not be marked as draining: the session store cannot be reached');
    }
  }

  async leave(): Promise<void> {
    await this.#links.flushed(FLUSH_MS);
    this.#links.reset();
    try {
      await this.#lease.leave();
    } catch (err) {
      this.#logger.warn({ err }, 'The lease could not be given back; it runs out: the session store cannot be reached');
    }
  }

  async leases(): Promise<readonly InstanceLease[]> {
    return this.#directory.list();
  }

  /** Whether another instance has sent a message recently. */
  heardRecently(id: string): boolean {
    return this.#links.heardRecently(id);
  }

  async isAlive(id: string): Promise<boolean> {
    return this.heardRecently(id) || (await this.#directory.read(id)) !== undefined;
  }

  /** Another instance that takes new sessions, as far as the store knows. */
  async otherServing(): Promise<string | undefined> {
    return (await this.othersServing())[0];
  }

  /** Every other instance that takes new sessions, as far as the store knows. */
  async othersServing(): Promise<string[]> {
    let leases: readonly InstanceLease[];
    try {
      leases = await this.#directory.list();
    } catch (err) {
      this.#logger.debug({ err }, 'The other instances could not be listed: the session store cannot be reached');
      return [];
    }
    return leases.filter(({ id, state }) => id !== this.id && state === 'serving').map(({ id }) => id);
  }

  /** The link to another instance. `undefined`: that instance is dead, or this one has no lease. */
  link(to: string): Link | undefined {
    return this.valid ? this.#links.to(to) : undefined;
  }

  /** Asks the owner to end a session. `undefined`: the owner crashed, and the outcome is unknown. */
  terminate(owner: string, sessionId: string): Promise<boolean | undefined> {
    const link = this.link(owner);
    if (link === undefined) return Promise.resolve(undefined);
    const ask = this.#asks++;
    const letGo = link.hold('call');
    return new Promise((resolve) => {
      const settle = (done: boolean | undefined): void => {
        this.#endRequests.delete(ask);
        letGo();
        resolve(done);
      };
      this.#endRequests.set(ask, { link, settle });
      link.push({ t: 'terminate', ask, sessionId }, ITEM_BYTES);
    });
  }

  publish(event: ServerEvent): void {
    Promise.resolve(this.#directory.publish(this.id, { kind: 'bus', event })).catch((cause: unknown) =>
      this.#logger.error(
        { err: cause, event: event.kind },
        'A bus event could not be published to the other instances',
      ),
    );
  }

  #receive(from: string, message: InstanceMessage): void {
    this.#peers.heard(from);
    switch (message.kind) {
      case 'link':
        this.#links.receive(from, message);
        break;
      case 'unlinked':
        this.#links.refusedBy(from);
        break;
      case 'probe':
        // Receiving the message is enough.
        break;
      case 'bus':
        this.#handlers?.bus(message['event'] as ServerEvent);
        break;
      default:
        this.#logger.warn(
          { from, kind: message.kind },
          'Another instance sent a message of a kind that this version does not know',
        );
    }
  }

  #item(link: Link, item: LinkItem): void {
    if (item.t === 'terminate') void this.#terminate(link, item);
    else if (item.t === 'terminated') this.#endRequests.get(item['ask'] as number)?.settle(item['done'] === true);
    else this.#handlers?.item(link, item);
  }

  #linkFailed(link: Link): void {
    for (const asked of this.#endRequests.values()) if (asked.link === link) asked.settle(undefined);
    this.#handlers?.linkFailed(link);
  }

  async #terminate(link: Link, { ask, sessionId }: LinkItem): Promise<void> {
    let done = false;
    try {
      done = (await this.#handlers?.terminate(String(sessionId))) ?? false;
    } catch (cause) {
      this.#logger.error({ err: cause, from: link.peer }, 'A session could not be ended for another instance');
    }
    link.push({ t: 'terminated', ask, done }, ITEM_BYTES);
  }
}
