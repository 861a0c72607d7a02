/**
 * The mailboxes of one deployment in this process. Messages are passed by reference and in order. Delivery starts after
 * the call that sends them.
 */
import type { Mailboxes, Receive } from '../shared/instances.ts';
import type { InstanceMessage } from '../store.ts';

/** The endpoints of one deployment share the mailboxes. */
export type SharedMailboxes = Map<string, Receive>;

export class MemoryMailboxes implements Mailboxes {
  readonly #mailboxes: SharedMailboxes;

  constructor(mailboxes: SharedMailboxes) {
    this.#mailboxes = mailboxes;
  }

  open(id: string, receive: Receive): string {
    this.#mailboxes.set(id, receive);
    return id;
  }

  check(): void {}

  send(from: string, to: string, message: InstanceMessage): 'sent' | 'suspect' {
    const receive = this.#mailboxes.get(to);
    if (receive === undefined) return 'suspect';
    // A mailbox that was closed since receives nothing more.
    queueMicrotask(() => {
      if (this.#mailboxes.get(to) === receive) receive(from, message);
    });
    return 'sent';
  }

  close(id: string): void {
    this.#mailboxes.delete(id);
  }

  /** A buried instance of this process receives nothing either. */
  forget(id: string): void {
    this.close(id);
  }
}
