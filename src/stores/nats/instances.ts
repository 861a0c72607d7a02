/**
 * The instances of a deployment. Leases are in a bucket (`leases.ts`), each mailbox is a subject, and all instances
 * listen on the subject of the bus. A message is sent when the server has it. The server reports subjects without a
 * listener.
 */
import type { Logger } from '../../types.ts';
import type { InstanceLease, InstanceMessage, InstanceStore } from '../store.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import type { Leases } from './leases.ts';
import type { NatsLink } from './link.ts';
import { NatsMailbox, type Receive, type EnvelopeWriter } from './mailbox.ts';
import type { Names } from './names.ts';

export interface NatsInstancesOptions {
  readonly link: NatsLink;
  readonly names: Names;
  readonly leases: Leases;
  readonly deadlines: Deadlines;
  readonly sender: EnvelopeWriter;
  readonly logger: Logger;
}

interface Own {
  readonly lost: () => void;
  close(): void;
}

export class NatsInstances implements InstanceStore {
  readonly #options: NatsInstancesOptions;
  readonly #own = new Map<string, Own>();
  readonly #unwatch: () => void;

  constructor(options: NatsInstancesOptions) {
    this.#options = options;
    this.#unwatch = options.link.onLost(() => {
      for (const { lost } of this.#own.values()) lost();
    });
  }

  /**
   * Subscribes first. The server processes both in this order, so an instance that finds the lease can reach the
   * mailbox.
   */
  async announce(lease: InstanceLease, receive: Receive, lost: () => void = () => undefined): Promise<void> {
    const { leases, deadlines, logger } = this.#options;
    const { id } = lease;
    const mailbox = this.#open(id, receive, lost);
    try {
      await leases.announce(lease, deadlines.deadline());
    } catch (error) {
      mailbox.close();
      throw error;
    }
    this.#own.set(id, mailbox);
    leases
      .forgetDead(() => deadlines.deadline())
      .catch((err: unknown) => logger.debug({ err }, 'Leases of dead instances could not be removed'));
  }

  async renew(id: string, state: InstanceLease['state']): Promise<boolean> {
    const { leases, deadlines } = this.#options;
    const renewed = await leases.renew(id, state, deadlines.deadline());
    if (!renewed) this.#close(id);
    return renewed;
  }

  read(id: string): Promise<InstanceLease | undefined> {
    return this.#options.leases.read(id, this.#options.deadlines.deadline());
  }

  list(): Promise<readonly InstanceLease[]> {
    return this.#options.leases.list(this.#options.deadlines.deadline());
  }

  async send(from: string, to: string, message: InstanceMessage): Promise<'sent' | 'suspect'> {
    const { link, names, sender, deadlines } = this.#options;
    return link.post(names.mailbox(to), sender.write(from, message, link.info?.max_payload), deadlines.deadline());
  }

  bury(lease: InstanceLease): Promise<boolean> {
    return this.#options.leases.bury(lease, this.#options.deadlines.deadline());
  }

  async leave(id: string): Promise<void> {
    this.#close(id);
    await this.#options.leases.leave(id, this.#options.deadlines.deadline());
  }

  async publish(from: string, message: InstanceMessage): Promise<void> {
    const { link, names, sender, deadlines } = this.#options;
    await link.post(names.bus, sender.write(from, message, link.info?.max_payload), deadlines.deadline());
  }

  /** Removes every instance of this view, also those that did not leave. */
  async close(): Promise<void> {
    for (const id of this.#own.keys()) {
      await this.leave(id).catch((err: unknown) =>
        this.#options.logger.warn({ err, instance: id }, 'The lease could not be given back; it runs out by itself'),
      );
    }
    this.#unwatch();
  }

  #open(id: string, receive: Receive, lost: () => void): Own {
    const { link, names, logger } = this.#options;
    const mail = new NatsMailbox(receive, logger);
    const bus = new NatsMailbox((from, message) => {
      if (from !== id) receive(from, message);
    }, logger);
    const stops = [
      link.listen(names.mailbox(id), (message) => mail.take(message)),
      link.listen(names.bus, (message) => bus.take(message)),
    ];
    return { lost, close: () => stops.forEach((stop) => stop()) };
  }

  #close(id: string): void {
    this.#own.get(id)?.close();
    this.#own.delete(id);
  }
}
