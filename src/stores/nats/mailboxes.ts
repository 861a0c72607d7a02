/**
 * The mailboxes of the instances of one view. Each is a subject, and all instances listen on the subject of the bus. A
 * message is sent when the server has it. The server reports subjects without a listener.
 */
import type { Logger } from '../../types.ts';
import type { Mailboxes, Receive } from '../shared/instances.ts';
import type { InstanceMessage } from '../store.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import type { NatsLink } from './link.ts';
import { NatsMailbox, writeEnvelope } from './mailbox.ts';
import type { Names } from './names.ts';
import { partBytes } from './parts.ts';

export interface NatsMailboxesOptions {
  readonly link: NatsLink;
  readonly names: Names;
  readonly deadlines: Deadlines;
  /** No other process makes this name. */
  readonly sender: string;
  readonly logger: Logger;
}

interface OpenMailbox {
  readonly lost: () => void;
  close(): void;
}

export class NatsMailboxes implements Mailboxes {
  readonly #options: NatsMailboxesOptions;
  readonly #open = new Map<string, OpenMailbox>();
  readonly stop: () => void;
  #envelopes = 0;

  constructor(options: NatsMailboxesOptions) {
    this.#options = options;
    this.stop = options.link.onLost(() => {
      for (const { lost } of this.#open.values()) lost();
    });
  }

  /** Whether an instance of this view has this id, and did not lose its lease. */
  has(id: string): boolean {
    return this.#open.has(id);
  }

  /** The server processes this before the lease, so an instance that finds the lease can reach the mailbox. */
  open(id: string, receive: Receive, lost: () => void): string {
    const { link, names, logger } = this.#options;
    const mail = new NatsMailbox(receive, logger);
    const bus = new NatsMailbox((from, message) => {
      if (from !== id) receive(from, message);
    }, logger);
    const stops = [
      link.listen(names.mailbox(id), (message) => mail.take(message)),
      link.listen(names.bus, (message) => bus.take(message)),
    ];
    this.#open.set(id, { lost, close: () => stops.forEach((stop) => stop()) });
    return id;
  }

  /** A lost connection is made again by the renewal itself, and listens on the same subjects. */
  check(): void {}

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    return this.#post(this.#options.names.mailbox(to), from, message);
  }

  async publish(from: string, message: InstanceMessage): Promise<void> {
    await this.#post(this.#options.names.bus, from, message);
  }

  close(id: string): void {
    this.#open.get(id)?.close();
    this.#open.delete(id);
  }

  #post(subject: string, from: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const { link, sender, deadlines } = this.#options;
    const name = `${sender}/${this.#envelopes++}`;
    const parts = writeEnvelope(from, message, partBytes(link.info?.max_payload), name);
    return link.post(subject, parts, deadlines.deadline());
  }
}
