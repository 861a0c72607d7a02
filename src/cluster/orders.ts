/**
 * What the command line orders one instance to do: to drain, to end a session that it has live, or to
 * close the object of a handle. The command sends
 * one signed message to the mailbox of the instance, and sees the effect in the store.
 *
 * `signed-messages.ts` refuses an order of another key, and an order that was signed for another instance. A copy does
 * no harm: ids of instances and of sessions are never used twice, and to drain or to end twice is to do it once. A copy of `close` may
 * close an object that was opened since, which the next call opens again.
 */
import { shown } from '../base/shown.ts';
import type { Logger } from '../base/types.ts';

export type Ordered =
  | { readonly run: 'drain' }
  | { readonly run: 'end'; readonly session: string }
  | { readonly run: 'close'; readonly handle: string };

export type OrderMessage = Ordered & {
  readonly kind: 'order';
  /** Who ordered it: user, host and process id of the command. */
  readonly by: string;
};

/** What carries orders out. */
export interface OrdersTaken {
  drain(by: string): void;
  end(sessionId: string): Promise<unknown>;
  close(handle: string): Promise<unknown>;
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
    if (order.run === 'close') {
      logger.info({ by, handle: order.handle }, 'The object of a handle is closed, as ordered');
      return void (await taken.close(order.handle));
    }
    logger.info(
      { by, sessionId: order.session },
      'A session ends, as sojourn sessions end ordered',
    );
    await taken.end(order.session);
  } catch (err) {
    logger.error({ err, run: order.run }, 'An order of the command line could not be carried out');
  }
}
