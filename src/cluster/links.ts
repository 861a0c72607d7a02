/**
 * The links of this instance, and the judgement that a peer is dead. Suspicion is not death: nobody listening, a refused
 * socket or a long silence also happen to living instances. So a suspect is examined:
 *
 *     no lease ──▶ dead
 *     a lease, and a probe is delivered ──▶ alive, as far as anybody can tell
 *     a lease, and nobody listens to a probe either ──▶ buried: the lease is removed, if it is still the one that was read
 *
 * Whoever comes back under a new id says first which of its ids is dead (`formerly`): what it asks for again must not be
 * begun by the peer that still holds the first try.
 *
 * A living instance whose mailbox was closed counts as lapsed until it has opened it again and renewed its lease since:
 * either its renewal comes first, and the burial fails, or it finds itself dead.
 */
import type { InstanceMessage, OpenStore } from '../stores/store.ts';
import type { Logger, TimeProvider } from '../types.ts';
import { Link, LINK_VERSION, type LinkItem, type LinkMessage } from './link.ts';

/** Ids that are known to be dead: what still comes from them is dropped. More are forgotten, oldest first. */
const DEAD_KEPT = 1_000;
const HEARD_PART = 10;
const SILENT_LEASES = 10;
const ITEM_BYTES = 64;

export interface LinksOptions {
  readonly store: OpenStore;
  readonly time: Required<TimeProvider>;
  readonly leaseMs: number;
  readonly logger: Logger;
  /** This instance's id now. */
  self(): string;
  receive(link: Link, item: LinkItem): void;
  /** What was under way on it has no outcome. */
  failed(link: Link): void;
}

export class Links {
  readonly #options: LinksOptions;
  readonly #links = new Map<string, Link>();
  readonly #dead = new Set<string>();
  /** Peers that have yet to hear which ids of this instance are dead. */
  readonly #former = new Map<string, Set<string>>();
  readonly #examining = new Map<string, Promise<boolean>>();

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  /** `undefined`: it is dead. */
  to(peer: string): Link | undefined {
    return this.#dead.has(peer) ? undefined : (this.#links.get(peer) ?? this.#open(peer));
  }

  /** Whether it has spoken so lately that its lease need not be looked at: should it be dead, the link finds out. */
  hears(peer: string): boolean {
    return this.#links.get(peer)?.heardWithin(this.#options.leaseMs / HEARD_PART) === true;
  }

  receive(from: string, message: InstanceMessage): void {
    const { v, to } = message as LinkMessage;
    if (to !== this.#options.self()) return;
    if (v !== LINK_VERSION) return this.#refuse(from, v);
    this.to(from)?.receive(message as LinkMessage);
  }

  /** An instance of another build cannot talk with us: what was sent to it has never run there. */
  refusedBy(from: string): void {
    this.#options.logger.error(
      { instance: from },
      'Another instance speaks another version of the protocol between instances; calls cannot be relayed to it',
    );
    this.#part(from);
  }

  /** Whether an instance lives; a suspect is buried on the way. */
  examine(peer: string): Promise<boolean> {
    const running = this.#examining.get(peer);
    if (running !== undefined) return running;
    const examining = this.#examine(peer).finally(() => this.#examining.delete(peer));
    this.#examining.set(peer, examining);
    return examining;
  }

  /** This instance has no right to `id` any more: nothing that is under way has an outcome. */
  reset(id?: string): void {
    for (const peer of this.#links.keys()) {
      if (id !== undefined) this.#former.set(peer, (this.#former.get(peer) ?? new Set()).add(id));
      this.#drop(peer);
    }
    this.#dead.clear();
  }

  /** It has a new one: whoever knew it under another hears of it. */
  introduce(): void {
    for (const peer of this.#former.keys()) this.to(peer);
  }

  /** Resolves when what was pushed has been taken, or after `ms`. */
  async flushed(ms: number): Promise<void> {
    const { time } = this.#options;
    let timer: unknown;
    const late = new Promise<void>((resolve) => {
      timer = time.setTimeout(resolve, ms);
    });
    const links = [...this.#links.values()];
    // With it goes what is still owed; and a peer that is gone shows.
    for (const link of links) link.probe();
    await Promise.race([Promise.all(links.map((link) => link.taken())), late]);
    time.clearTimeout(timer);
  }

  /** Somebody is new: whoever has been silent for long may be one that it replaces, and nobody else would ever look. */
  #doubtSilent(): void {
    for (const [peer, link] of this.#links) {
      if (!link.heardWithin(SILENT_LEASES * this.#options.leaseMs)) void this.#doubt(peer);
    }
  }

  #open(peer: string): Link {
    const { time, leaseMs } = this.#options;
    this.#doubtSilent();
    const link: Link = new Link({
      peer,
      time,
      leaseMs,
      send: (message) => void this.#send(peer, message),
      receive: (item) => {
        if (item.t === 'formerly') this.#die(item['id'] as string);
        else this.#options.receive(link, item);
      },
      asks: ({ t }) => t === 'call' || t === 'terminate',
      doubt: () => void this.#doubt(peer),
    });
    this.#links.set(peer, link);
    for (const id of this.#former.get(peer) ?? []) {
      link.push({ t: 'formerly', id }, ITEM_BYTES, () => this.#told(peer, id));
    }
    return link;
  }

  async #send(peer: string, message: InstanceMessage): Promise<'sent' | 'suspect' | 'unknown'> {
    const { store, logger, self } = this.#options;
    try {
      const sent = await store.instances.send(self(), peer, message);
      if (sent === 'suspect' && !this.#examining.has(peer)) void this.#doubt(peer);
      return sent;
    } catch (err) {
      // It is sent again; and who cannot reach the store for long loses its lease.
      logger.debug({ err, instance: peer }, 'A message to another instance could not be sent');
      return 'unknown';
    }
  }

  async #doubt(peer: string): Promise<void> {
    try {
      await this.examine(peer);
    } catch (err) {
      this.#options.logger.debug({ err, instance: peer }, 'It could not be found out whether an instance lives');
    }
  }

  async #examine(peer: string): Promise<boolean> {
    const { instances } = this.#options.store;
    const lease = await instances.read(peer);
    if (lease === undefined) {
      this.#die(peer);
      return false;
    }
    const probe: InstanceMessage = { kind: 'probe' };
    if ((await this.#send(peer, probe)) !== 'suspect' || !(await instances.bury(lease))) return true;
    this.#options.logger.warn({ instance: peer }, 'An instance that nobody hears any more is buried');
    this.#die(peer);
    return false;
  }

  #told(peer: string, id: string): void {
    const ids = this.#former.get(peer);
    ids?.delete(id);
    if (ids?.size === 0) this.#former.delete(peer);
  }

  #die(peer: string): void {
    this.#dead.add(peer);
    const [oldest] = this.#dead;
    if (this.#dead.size > DEAD_KEPT && oldest !== undefined) this.#dead.delete(oldest);
    this.#part(peer);
  }

  /** There is nothing to say to it any more. */
  #part(peer: string): void {
    this.#former.delete(peer);
    this.#drop(peer);
  }

  #drop(peer: string): void {
    const link = this.#links.get(peer);
    if (link === undefined) return;
    this.#links.delete(peer);
    link.fail();
    this.#options.failed(link);
  }

  #refuse(from: string, version: unknown): void {
    this.#options.logger.error(
      { instance: from, version },
      'Another instance speaks another version of the protocol between instances; its calls are refused',
    );
    void this.#send(from, { kind: 'unlinked' });
    this.#part(from);
  }
}
