/**
 * The mailboxes of the instances of one view, on the instance connection of the process. The address of a mailbox, in
 * the lease, is the key of its lock and of its messages, and the channel of the connection.
 */
import type { InstanceMessage, Logger, Mailboxes, RandomSource, Receive } from 'sojourn/store-kit';
import { pooled } from './failures.ts';
import { MESSAGE_VERSION, type InstanceStatements } from './instance-statements.ts';
import type { InstanceConnection } from './instance-connection.ts';
import { Outbox, type Sent } from './outbox.ts';
import { newLockKey } from './own-connection.ts';
import type { PgResult, Row, Statement, Value } from './pg.ts';

/** Messages that are removed in one statement: it takes some ms. */
const TRIM_BATCH = 1_000;

export interface PostgresMailboxesOptions {
  /** The space of the leases. */
  readonly space: string;
  readonly instanceConnection: InstanceConnection;
  readonly statements: InstanceStatements;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export class PostgresMailboxes implements Mailboxes {
  readonly #options: PostgresMailboxesOptions;
  readonly #keys = new Map<string, string>();
  readonly #outbox: Outbox;
  #warned = false;

  constructor(options: PostgresMailboxesOptions) {
    this.#options = options;
    const { instanceConnection, statements, space } = options;
    this.#outbox = new Outbox(instanceConnection, statements, space);
  }

  async open(id: string, receive: Receive, lost: () => void): Promise<string> {
    const { instanceConnection, random } = this.#options;
    const mailbox = newLockKey(random);
    await instanceConnection.listen({ mailbox, receive: (rows) => this.#receive(id, rows, receive), lost });
    this.#keys.set(id, mailbox);
    void this.#trim();
    return `${mailbox} ${instanceConnection.channel}`;
  }

  /** The renewal itself does this (`query`). */
  check(): void {}

  /**
   * A write of a lease. The connection reopens first if it was lost, so an instance with a renewed lease can receive.
   * A pooler would let another server process answer than the process that listens.
   */
  async query(statement: Statement, values: readonly Value[]): Promise<PgResult> {
    const { instanceConnection, statements } = this.#options;
    const { pid, place } = await instanceConnection.ready();
    const [answering, result] = await Promise.all([
      instanceConnection.query(statements.answering, []),
      instanceConnection.query(statement, values),
    ]);
    if (Number(answering.rows[0]?.[0]) !== pid && (await instanceConnection.ready()).pid === pid)
      throw pooled(place, 'one connection was answered by two server processes');
    return result;
  }

  send(from: string, to: string, message: InstanceMessage): Promise<Sent> {
    return this.#outbox.send(from, to, message);
  }

  publish(from: string, message: InstanceMessage): Promise<void> {
    return this.#outbox.publish(from, message);
  }

  async close(id: string): Promise<void> {
    const mailbox = this.#keys.get(id);
    this.#keys.delete(id);
    if (mailbox !== undefined) await this.#options.instanceConnection.stopListening(mailbox);
  }

  /** Removes messages to the dead. What fails is left to the next instance. */
  async #trim(): Promise<void> {
    const { instanceConnection, statements } = this.#options;
    for (let count: number | null = TRIM_BATCH; count === TRIM_BATCH;)
      count = await instanceConnection.query(statements.trimMessages, [TRIM_BATCH]).then(
        ({ rowCount }) => rowCount,
        () => null,
      );
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
        logger.error({ err, from: sender, instance: id }, 'A message of another instance could not be handled');
      }
    }
  }
}

const unknownVersion = (sender: string | null | undefined): string =>
  `Dropped messages of instance ${sender ?? ''}, which runs a newer version of sojourn`;
