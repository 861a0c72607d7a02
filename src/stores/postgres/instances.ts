/**
 * The instances of one deployment. Leases are rows; mailboxes are on the instance connection of each process.
 *
 *     announced ──renewed in time──▶ … ──expired | buried | left──▶ dead (its row stays for a day)
 *
 * An expired lease is dead once that is stored. A reader that finds an expired lease stores its death before it answers
 * (`buryLate`); no renewal succeeds after that. A renewal increments a counter, and a burial names the counter that it
 * read.
 */
import { internal } from '../../errors.ts';
import type { RandomSource } from '../../options/system.ts';
import type { Logger } from '../../types.ts';
import type { InstanceLease, InstanceMessage, InstanceStore } from '../store.ts';
import { pooled } from './failures.ts';
import { MESSAGE_VERSION, type InstanceStatements } from './instance-statements.ts';
import type { InstanceConnection } from './instance-connection.ts';
import { newLockKey } from './own-connection.ts';
import { Outbox, type Sent } from './outbox.ts';
import type { Row } from './pg.ts';
import type { PostgresReader } from './reader.ts';

type Receive = (from: string, message: InstanceMessage) => void;

export interface PostgresInstancesOptions {
  readonly deployment: string;
  readonly instanceConnection: InstanceConnection;
  readonly reader: Pick<PostgresReader, 'query'>;
  readonly statements: InstanceStatements;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export class PostgresInstances implements InstanceStore {
  readonly #options: PostgresInstancesOptions;
  /** The mailboxes of the instances that this view has announced. */
  readonly #mailboxes = new Map<string, string>();
  readonly #outbox: Outbox;
  #warned = false;

  constructor(options: PostgresInstancesOptions) {
    this.#options = options;
    const { instanceConnection, statements, deployment } = options;
    this.#outbox = new Outbox(instanceConnection, statements, deployment);
  }

  /** Opens the lock and the mailbox first, so that an instance with a lease can receive. */
  async announce({ id, state, version }: InstanceLease, receive: Receive, lost = (): void => undefined): Promise<void> {
    const { instanceConnection, statements, deployment, leaseMs, random } = this.#options;
    const mailbox = newLockKey(random);
    await instanceConnection.listen({ mailbox, receive: (rows) => this.#receive(id, rows, receive), lost });
    try {
      const values = [deployment, id, state, version, mailbox, instanceConnection.channel, leaseMs];
      if ((await instanceConnection.query(statements.announce, values)).rowCount === 1) {
        this.#mailboxes.set(id, mailbox);
        return;
      }
    } catch (error) {
      await instanceConnection.stopListening(mailbox);
      throw error;
    }
    await instanceConnection.stopListening(mailbox);
    throw internal(new Error(`instance ${id} was announced before: ids are never used twice, take a new one`));
  }

  /**
   * Uses the instance connection, which reopens first if it was lost. So an instance with a renewed lease can receive.
   */
  async renew(id: string, state: InstanceLease['state']): Promise<boolean> {
    const { instanceConnection, statements, deployment, leaseMs } = this.#options;
    const { pid, place } = await instanceConnection.ready();
    const { rows } = await instanceConnection.query(statements.renew, [deployment, id, state, leaseMs]);
    const [renewed, answered] = rows[0] ?? [];
    if (Number(answered) !== pid && (await instanceConnection.ready()).pid === pid)
      throw pooled(place, 'one connection was answered by two server processes');
    if (renewed !== 't') await this.#forget(id);
    return renewed === 't';
  }

  async read(id: string): Promise<InstanceLease | undefined> {
    const { statements, deployment } = this.#options;
    return (await this.#leases(statements.lease, [deployment, id]))[0];
  }

  list(): Promise<readonly InstanceLease[]> {
    const { statements, deployment } = this.#options;
    return this.#leases(statements.leases, [deployment]);
  }

  send(from: string, to: string, message: InstanceMessage): Promise<Sent> {
    return this.#outbox.send(from, to, message);
  }

  async bury({ id, state, stamp }: InstanceLease): Promise<boolean> {
    const { reader, statements, deployment } = this.#options;
    // A lease without a stamp was not read here. It is buried if its state matches.
    return (await reader.query(statements.bury, [deployment, id, state, stamp ?? null])).rowCount === 1;
  }

  async leave(id: string): Promise<void> {
    const { instanceConnection, statements, deployment } = this.#options;
    const forgotten = this.#forget(id);
    await instanceConnection.query(statements.leave, [deployment, id]);
    await forgotten;
  }

  publish(from: string, message: InstanceMessage): Promise<void> {
    return this.#outbox.publish(from, message);
  }

  /** An instance whose view is closed has left, whether or not it called `leave`. */
  async close(): Promise<void> {
    for (const id of this.#mailboxes.keys()) {
      await this.leave(id).catch((err: unknown) =>
        this.#options.logger.warn({ err, instance: id }, 'The lease could not be given back; it runs out by itself'),
      );
    }
  }

  async #leases(...[statement, values]: Parameters<PostgresReader['query']>): Promise<readonly InstanceLease[]> {
    const { reader, statements, deployment } = this.#options;
    for (;;) {
      const { rows } = await reader.query(statement, values);
      const late = rows.some((row) => row[4] === 't');
      if (!late) return rows.map(leaseOf);
      await reader.query(statements.buryLate, [deployment]);
    }
  }

  async #forget(id: string): Promise<void> {
    const mailbox = this.#mailboxes.get(id);
    this.#mailboxes.delete(id);
    if (mailbox !== undefined) await this.#options.instanceConnection.stopListening(mailbox);
  }

  #receive(id: string, rows: readonly Row[], receive: Receive): void {
    const { logger } = this.#options;
    for (const [, version, sender, , body] of rows) {
      if (Number(version) > MESSAGE_VERSION) {
        if (!this.#warned)
          logger.error({ from: sender, version }, `${unknownVersion(sender)}; start the newer one here too`);
        this.#warned = true;
        continue;
      }
      try {
        receive(sender ?? '', JSON.parse(body ?? '') as InstanceMessage);
      } catch (err) {
        logger.error({ err, from: sender, instance: id }, 'A message could not be handled');
      }
    }
  }
}

const unknownVersion = (sender: string | null | undefined): string =>
  `Dropped messages of instance ${sender ?? ''}, which runs a newer version of sojourn`;

const leaseOf = ([id, state, version, renewals]: Row): InstanceLease =>
  Object.freeze({
    id: id ?? '',
    state: state === 'draining' ? 'draining' : 'serving',
    version: version ?? '',
    stamp: renewals ?? '',
  });
