/**
 * What the command line orders one instance to do: to drain, or to end a session that it has live. The command sends
 * one signed message to the mailbox of the instance, and sees the effect in the store.
 *
 * `signed-messages.ts` refuses an order of another key, and an order that was signed for another instance. This file
 * refuses a copy:
 *
 *     order ──▶ for this id? ──▶ fresh? ──▶ first? ──▶ done
 *
 * Fresh: no clock is compared. An order names the stamp of the lease that the command read. The instance reads its
 * lease, and takes the order within `RENEWALS` renewals of that stamp, some ten seconds. First: it keeps the nonces of
 * that time. An instance id is never used twice, so no order outlives the id that it was given to.
 */
import { BoundedMap } from '../base/bounded-map.ts';
import { RepeatedLines } from '../options/repeated-lines.ts';
import { shown } from '../base/shown.ts';
import type { InstanceStore } from '../stores/store.ts';
import type { Logger, TimeProvider } from '../types.ts';

export type Ordered = { readonly run: 'drain' } | { readonly run: 'end'; readonly session: string };

export type OrderMessage = Ordered & {
  readonly kind: 'order';
  readonly to: string;
  readonly stamp: string;
  readonly nonce: string;
  /** Who ordered it: user, host and process id of the command. */
  readonly by: string;
};

/** What carries orders out. */
export interface OrdersTaken {
  drain(by: string): void;
  end(sessionId: string): Promise<unknown>;
}

const RENEWALS = 10;
const NONCES = 1_000;

interface OrdersOptions {
  readonly directory: Pick<InstanceStore, 'read'>;
  readonly logger: Logger;
  readonly time: Required<TimeProvider>;
}

export class Orders {
  readonly #options: OrdersOptions;
  readonly #nonces = new BoundedMap<string, true>(NONCES);
  readonly #lines: RepeatedLines;

  constructor(options: OrdersOptions) {
    this.#options = options;
    this.#lines = new RepeatedLines(options.time);
  }

  /** `own`: the id of this instance, whose mailbox had the order. Never rejects. */
  async take(order: OrderMessage, own: string, taken: OrdersTaken): Promise<void> {
    const { directory, logger } = this.#options;
    try {
      if (order.to !== own) return this.#refuse('it is for another instance', order);
      const age = Number((await directory.read(own))?.stamp) - Number(order.stamp);
      if (!(age >= 0 && age <= RENEWALS)) return this.#refuse('it is too old, or a copy', order);
      if (this.#nonces.has(order.nonce)) return this.#refuse('it came before: this is a copy', order);
      this.#nonces.set(order.nonce, true);
      const by = shown(order.by);
      if (order.run === 'drain') return taken.drain(by);
      logger.info({ by, sessionId: order.session }, 'A session ends, as sojourn sessions end ordered');
      await taken.end(order.session);
    } catch (err) {
      logger.error({ err, run: order.run }, 'An order of the command line could not be carried out');
    }
  }

  #refuse(why: string, { run, by }: OrderMessage): void {
    const { logger } = this.#options;
    this.#lines.note(why, (times) =>
      logger.warn({ why, run, by: shown(by), times }, 'An order of the command line was refused'),
    );
  }
}
