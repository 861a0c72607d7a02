/**
 * The instances of one deployment: leases in rows, mailboxes on the line of their process.
 *
 *     announced ──renewed in time──▶ … ──ran out | buried | left──▶ dead (its row stays for a day)
 *
 * A lease that has run out is dead once that is stored: whoever finds one stores it before saying so (`buryLate`), and from
 * then on no renewal finds it. Renewing counts up, and a burial names the count that it saw.
 */
import { internal } from '../../errors.ts';
import type { RandomSource } from '../../options/system.ts';
import type { Logger } from '../../types.ts';
import type { InstanceLease, InstanceMessage, InstanceStore } from '../store.ts';
import { pooled } from './failures.ts';
import { MESSAGE_VERSION, type InstanceStatements } from './instance-statements.ts';
import type { Line } from './line.ts';
import { newLockKey } from './own-lock.ts';
import { Outbox, type Sent } from './outbox.ts';
import type { Row } from './pg.ts';
import type { Reader } from './reader.ts';

type Receive = (from: string, message: InstanceMessage) => void;

export interface InstancesOptions {
  readonly deployment: string;
  readonly line: Line;
  readonly reader: Pick<Reader, 'query'>;
  readonly statements: InstanceStatements;
  readonly leaseMs: number;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export class PostgresInstances implements InstanceStore {
  readonly #options: InstancesOptions;
  /** The mailboxes of those that were announced here. */
  readonly #mailboxes = new Map<string, string>();
  readonly #outbox: Outbox;
  #warned = false;

  constructor(options: InstancesOptions) {
    this.#options = options;
    const { line, statements, deployment } = options;
    this.#outbox = new Outbox(line, statements, deployment);
  }

  /** First the lock and the mailbox: nobody finds a lease whose holder is not heard. */
  async announce({ id, state, version }: InstanceLease, receive: Receive, lost = (): void => undefined): Promise<void> {
    const { line, statements, deployment, leaseMs, random } = this.#options;
    const mailbox = newLockKey(random);
    await line.listen({ mailbox, receive: (rows) => this.#receive(id, rows, receive), lost });
    try {
      const values = [deployment, id, state, version, mailbox, line.channel, leaseMs];
      if ((await line.query(statements.announce, values)).rowCount === 1) {
        this.#mailboxes.set(id, mailbox);
        return;
      }
    } catch (error) {
      await line.hangUp(mailbox);
      throw error;
    }
    await line.hangUp(mailbox);
    throw internal(new Error(`instance ${id} was announced before: ids are never used twice, take a new one`));
  }

  /** On the line, which is opened first if it was lost: whoever finds the renewed lease is heard. */
  async renew(id: string, state: InstanceLease['state']): Promise<boolean> {
    const { line, statements, deployment, leaseMs } = this.#options;
    const { pid, place } = await line.ready();
    const { rows } = await line.query(statements.renew, [deployment, id, state, leaseMs]);
    const [renewed, answered] = rows[0] ?? [];
    if (Number(answered) !== pid && (await line.ready()).pid === pid)
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
    // A lease that was not read here has no count and is buried as it stands, if its state does.
    return (await reader.query(statements.bury, [deployment, id, state, stamp ?? null])).rowCount === 1;
  }

  async leave(id: string): Promise<void> {
    const { line, statements, deployment } = this.#options;
    const forgotten = this.#forget(id);
    await line.query(statements.leave, [deployment, id]);
    await forgotten;
  }

  publish(from: string, message: InstanceMessage): Promise<void> {
    return this.#outbox.publish(from, message);
  }

  /** Whoever closes its view is gone, with or without having left. */
  async close(): Promise<void> {
    for (const id of this.#mailboxes.keys()) {
      await this.leave(id).catch((err: unknown) =>
        this.#options.logger.warn({ err, instance: id }, 'The lease could not be given back; it runs out by itself'),
      );
    }
  }

  async #leases(...[statement, values]: Parameters<Reader['query']>): Promise<readonly InstanceLease[]> {
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
    if (mailbox !== undefined) await this.#options.line.hangUp(mailbox);
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
        logger.error({ err, from: sender, instance: id }, 'a message could not be received');
      }
    }
  }
}

const unknownVersion = (sender: string | null | undefined): string =>
  `Instance ${sender ?? ''} is of a newer version of sojourn, and what it says is not understood here`;

const leaseOf = ([id, state, version, renewals]: Row): InstanceLease =>
  Object.freeze({
    id: id ?? '',
    state: state === 'draining' ? 'draining' : 'serving',
    version: version ?? '',
    stamp: renewals ?? '',
  });
