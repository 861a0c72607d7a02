/**
 * The instances of one deployment in this process. Leases do not run out here: an owner and every instance that could
 * claim its sessions live in the same process. An instance dies when it leaves, when another instance buries it, or
 * when its view of the store closes.
 *
 * Messages are passed by reference and in order. Delivery starts after the call that sends them.
 */
import { internal } from '../../errors.ts';
import type { Logger } from '../../types.ts';
import type { InstanceLease, InstanceMessage, InstanceStore } from '../store.ts';

type Receive = (from: string, message: InstanceMessage) => void;

/** What `read` and `list` return. `renewals` shows whether the lease was renewed since it was read. */
interface HeldLease extends InstanceLease {
  readonly renewals: number;
}

class MemoryMailbox {
  lease: HeldLease;
  readonly #receive: Receive;
  readonly #logger: Logger;
  #waiting: Array<{ from: string; message: InstanceMessage }> = [];

  constructor(lease: InstanceLease, receive: Receive, logger: Logger) {
    this.lease = Object.freeze({ ...lease, renewals: 0 });
    this.#receive = receive;
    this.#logger = logger;
  }

  renew(state: InstanceLease['state']): void {
    this.lease = Object.freeze({ ...this.lease, state, renewals: this.lease.renewals + 1 });
  }

  put(from: string, message: InstanceMessage): void {
    this.#waiting.push({ from, message });
    if (this.#waiting.length === 1) queueMicrotask(() => this.#deliver());
  }

  /** Drops the messages that are not delivered yet. */
  close(): void {
    this.#waiting = [];
  }

  /** The queue stays non-empty during delivery, so that messages sent by a receiver are delivered in the same run. */
  #deliver(): void {
    const waiting = this.#waiting;
    for (let i = 0; i < waiting.length && waiting === this.#waiting; i++) {
      const next = waiting[i];
      if (next === undefined) continue;
      try {
        this.#receive(next.from, next.message);
      } catch (err) {
        this.#logger.error(
          { err, instance: this.lease.id, kind: next.message.kind },
          'A message could not be received',
        );
      }
    }
    if (waiting === this.#waiting) this.#waiting = [];
  }
}

/** Shared by the endpoints of one deployment. */
export class InstanceDirectory {
  readonly #mailboxes = new Map<string, MemoryMailbox>();
  /** One entry per start of an endpoint on this store object. */
  readonly #announced = new Set<string>();

  announce(lease: InstanceLease, receive: Receive, logger: Logger): void {
    if (this.#announced.has(lease.id))
      throw internal(new Error(`instance ${lease.id} was announced before: ids are never used twice, take a new one`));
    this.#announced.add(lease.id);
    this.#mailboxes.set(lease.id, new MemoryMailbox(lease, receive, logger));
  }

  find(id: string): MemoryMailbox | undefined {
    return this.#mailboxes.get(id);
  }

  all(): Iterable<MemoryMailbox> {
    return this.#mailboxes.values();
  }

  remove(id: string): void {
    this.#mailboxes.get(id)?.close();
    this.#mailboxes.delete(id);
  }
}

/** One endpoint's access to the directory. */
export class MemoryInstances implements InstanceStore {
  readonly #directory: InstanceDirectory;
  readonly #logger: Logger;
  readonly #own = new Set<string>();

  constructor(directory: InstanceDirectory, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
  }

  announce(lease: InstanceLease, receive: Receive): void {
    this.#directory.announce(lease, receive, this.#logger);
    this.#own.add(lease.id);
  }

  renew(id: string, state: InstanceLease['state']): boolean {
    const mailbox = this.#directory.find(id);
    mailbox?.renew(state);
    return mailbox !== undefined;
  }

  read(id: string): InstanceLease | undefined {
    return this.#directory.find(id)?.lease;
  }

  list(): readonly InstanceLease[] {
    return [...this.#directory.all()].map(({ lease }) => lease);
  }

  send(from: string, to: string, message: InstanceMessage): 'sent' | 'suspect' {
    const mailbox = this.#directory.find(to);
    mailbox?.put(from, message);
    return mailbox === undefined ? 'suspect' : 'sent';
  }

  bury(lease: InstanceLease): boolean {
    const current = this.#directory.find(lease.id)?.lease;
    // A lease that this store did not return has no count. It is buried if its state matches.
    const { renewals = current?.renewals } = lease as Partial<HeldLease>;
    if (current === undefined || current.state !== lease.state || current.renewals !== renewals) return false;
    this.#directory.remove(lease.id);
    return true;
  }

  leave(id: string): void {
    this.#own.delete(id);
    this.#directory.remove(id);
  }

  publish(from: string, message: InstanceMessage): void {
    for (const mailbox of this.#directory.all()) {
      if (mailbox.lease.id !== from) mailbox.put(from, message);
    }
  }

  /** Removes every instance of this view, also those that did not leave. */
  close(): void {
    for (const id of this.#own) this.leave(id);
  }
}
