/**
 * What the command line orders one instance to do: to drain, or to end a session that it has live. The command sends
 * one signed message to the mailbox of the instance, and sees the effect in the store.
 *
 * `signed-messages.ts` refuses an order of another key, and an order that was signed for another instance. A copy does
 * no harm: ids of instances and of sessions are never used twice, and to drain or to end twice is to do it once.
 */
import { shown } from '../base/shown.ts';
import type { Logger } from '../base/types.ts';

export type Ordered = { readonly run: 'drain' } | { readonly run: 'end'; readonly session: string };

export type OrderMessage = Ordered & {
  readonly kind: 'order';
  /** Who ordered it: user, host and process id of the command. */
  readonly by: string;
};

/** What carries orders out. */
export interface OrdersTaken {
  drain(by: string): void;
  end(sessionId: string): Promise<unknown>;
}

/** Never rejects. */
export async function takeOrder(
  order: OrderMessage,
  taken: OrdersTaken,
  logger: Logger,
): Promise<void> {
  try {
    const by = shown(order.by);
    if (order.run === 'drain') return taken.drain(by);
    logger.info(
      { by, sessionId: order.session },
      'A session ends, as sojourn sessions end ordered',
    );
    await taken.end(order.session);
  } catch (err) {
    logger.error({ err, run: order.run }, 'An order of the command line could not be carried out');
  }
}
