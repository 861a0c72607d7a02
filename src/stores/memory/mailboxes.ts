/**
 * The mailboxes of one deployment in this process. Messages are passed by reference and in order. Delivery starts after
 * the call that sends them.
 */
import { internal } from '../../errors.ts';
import type { Mailboxes, Receive } from '../shared/instances.ts';
import type { InstanceMessage } from '../store.ts';

class MemoryMailbox {
  readonly #receive: Receive;
  #waiting: Array<{ from: string; message: InstanceMessage }> = [];

  constructor(receive: Receive) {
    this.#receive = receive;
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
      if (next !== undefined) this.#receive(next.from, next.message);
    }
    if (waiting === this.#waiting) this.#waiting = [];
  }
}

/** The endpoints of one deployment share the mailboxes. */
export type SharedMailboxes = Map<string, MemoryMailbox>;

export class MemoryMailboxes implements Mailboxes {
  readonly #mailboxes: SharedMailboxes;

  constructor(mailboxes: SharedMailboxes) {
    this.#mailboxes = mailboxes;
  }

  open(id: string, receive: Receive): string {
    if (this.#mailboxes.has(id)) throw internal(new Error(`instance ${id} has a mailbox already`));
    this.#mailboxes.set(id, new MemoryMailbox(receive));
    return id;
  }

  check(): void {}

  send(from: string, to: string, message: InstanceMessage): 'sent' | 'suspect' {
    const mailbox = this.#mailboxes.get(to);
    mailbox?.put(from, message);
    return mailbox === undefined ? 'suspect' : 'sent';
  }

  close(id: string): void {
    this.#mailboxes.get(id)?.close();
    this.#mailboxes.delete(id);
  }

  /** A buried instance of this process receives nothing either. */
  forget(id: string): void {
    this.close(id);
  }
}
