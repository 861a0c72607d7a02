/**
 * This process as one instance of its deployment: an id, a lease, a mailbox. Ids are new for every start.
 *
 *     serving ──drain──▶ draining ──leave──▶ gone        (its lease: `lease.ts`)
 *
 * Whatever one instance says to another goes through here: relayed calls, ends, bus events. On the memory store messages
 * are objects passed by reference.
 */
import type { ServerEvent } from '@modelcontextprotocol/server';
import { ownedElsewhere } from '../errors.ts';
import type { InstanceLease, InstanceMessage, OpenStore } from '../stores/store.ts';
import type { RandomSource } from '../system.ts';
import type { Logger, TimeProvider } from '../types.ts';
import { Lease } from './lease.ts';

export interface InstanceHandlers {
  /** Claims what is live here for the new id of this instance. */
  reclaim(id: string): Promise<void>;
  /** A call whose session lives here, handed over by the instance that got it. */
  call(call: unknown): void;
  /** End a session that lives here. */
  terminate(id: string): Promise<boolean>;
  bus(event: ServerEvent): void;
}

export interface InstanceOptions {
  readonly store: OpenStore;
  /** Messages are objects of this process: calls can be handed over. */
  readonly inProcess: boolean;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly time: Required<TimeProvider>;
  readonly logger: Logger;
}

export class Instance {
  readonly #store: OpenStore;
  readonly #inProcess: boolean;
  readonly #logger: Logger;
  readonly #lease: Lease;
  #handlers: InstanceHandlers | undefined;
  #asked = 0;
  readonly #replies = new Map<number, (done: boolean) => void>();

  constructor({ store, inProcess, leaseMs, random, time, logger }: InstanceOptions) {
    this.#store = store;
    this.#inProcess = inProcess;
    this.#logger = logger;
    this.#lease = new Lease({
      store: store.instances,
      inProcess,
      leaseMs,
      random,
      time,
      logger,
      receive: (from, message) => this.#receive(from, message),
      reclaim: async (id) => this.#handlers?.reclaim(id),
    });
  }

  /** New for every start, and after every lapse of its lease. */
  get id(): string {
    return this.#lease.id;
  }

  /** Whether sessions may be served from memory now. */
  get valid(): boolean {
    return this.#lease.valid;
  }

  get storeAway(): boolean {
    return this.#lease.storeAway;
  }

  async join(handlers: InstanceHandlers): Promise<void> {
    this.#handlers = handlers;
    await this.#lease.join();
  }

  /** Says so in the lease; a store that cannot be reached does not keep anybody from draining. */
  async drain(): Promise<void> {
    try {
      await this.#lease.drain();
    } catch (err) {
      this.#logger.warn({ err }, 'The lease could not be marked as draining: the session store cannot be reached');
    }
  }

  async leave(): Promise<void> {
    for (const reply of this.#replies.values()) reply(false);
    this.#replies.clear();
    await this.#lease.leave();
  }

  async leases(): Promise<readonly InstanceLease[]> {
    return this.#store.instances.list();
  }

  async isAlive(id: string): Promise<boolean> {
    return (await this.#store.instances.read(id)) !== undefined;
  }

  /** Another instance that takes new work, as far as the store can tell. */
  async otherServing(): Promise<string | undefined> {
    let leases: readonly InstanceLease[];
    try {
      leases = await this.#store.instances.list();
    } catch (err) {
      this.#logger.debug({ err }, 'The other instances could not be listed: the session store cannot be reached');
      return undefined;
    }
    return leases.find((lease) => lease.id !== this.id && lease.state === 'serving')?.id;
  }

  /** `false`: nobody is there; the lease that was seen is buried, so that the caller may claim. */
  async relay(to: string, call: unknown): Promise<boolean> {
    const message = this.#inProcess ? { kind: 'call', call } : { kind: 'probe' };
    if ((await this.#store.instances.send(this.id, to, message)) === 'sent') {
      if (this.#inProcess) return true;
      throw ownedElsewhere();
    }
    await this.#bury(to);
    return false;
  }

  /** Asks the owner to end a session; `undefined`: the owner is gone. */
  async terminate(owner: string, sessionId: string): Promise<boolean | undefined> {
    const ask = this.#asked++;
    const reply = new Promise<boolean>((resolve) => this.#replies.set(ask, resolve));
    if ((await this.#store.instances.send(this.id, owner, { kind: 'terminate', sessionId, ask })) === 'sent')
      return reply;
    this.#replies.delete(ask);
    await this.#bury(owner);
    return undefined;
  }

  publish(event: ServerEvent): void {
    Promise.resolve(this.#store.instances.publish(this.id, { kind: 'bus', event })).catch((cause: unknown) =>
      this.#logger.error(
        { err: cause, event: event.kind },
        'A bus event could not be published to the other instances',
      ),
    );
  }

  async #bury(id: string): Promise<void> {
    const lease = await this.#store.instances.read(id);
    if (lease !== undefined) await this.#store.instances.bury(lease);
  }

  #receive(from: string, message: InstanceMessage): void {
    const handlers = this.#handlers;
    if (handlers === undefined) return;
    switch (message.kind) {
      case 'call':
        handlers.call(message['call']);
        break;
      case 'probe':
        // Being heard is the answer.
        break;
      case 'bus':
        handlers.bus(message['event'] as ServerEvent);
        break;
      case 'terminate':
        void this.#terminated(from, message, handlers);
        break;
      case 'terminated':
        this.#replied(message);
        break;
      default:
        this.#logger.warn(
          { from, kind: message.kind },
          'Another instance sent a message of a kind that this version does not know',
        );
    }
  }

  async #terminated(from: string, message: InstanceMessage, handlers: InstanceHandlers): Promise<void> {
    let done = false;
    try {
      done = await handlers.terminate(String(message['sessionId']));
    } catch (cause) {
      this.#logger.error({ err: cause, from }, 'A session could not be ended for another instance');
    }
    await this.#store.instances.send(this.id, from, { kind: 'terminated', ask: message['ask'], done });
  }

  #replied(message: InstanceMessage): void {
    const ask = message['ask'] as number;
    this.#replies.get(ask)?.(message['done'] === true);
    this.#replies.delete(ask);
  }
}
