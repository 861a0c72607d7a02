/**
 * The messages between a supervisor and its workers. Loaders such as tsx use the same channel, so others are ignored.
 */
import { isObject } from '../protocol/jsonrpc.ts';

/** From a worker to its supervisor. */
export type WorkerReport =
  /** The worker accepts connections. `banner` is the banner that `serve` prints without a supervisor. */
  | { readonly sojourn: 'listening'; readonly banner: string }
  /** The worker does not listen yet: its store is away, and the worker that it replaces still serves. */
  | { readonly sojourn: 'waiting' }
  /** The worker drains and then ends. */
  | { readonly sojourn: 'leaving' };

/** From the supervisor. */
export type WorkerOrder =
  /** `socketCloses`: no other process holds the socket any more. */
  | { readonly sojourn: 'drain'; readonly socketCloses?: boolean }
  /** Listen although the store is away: the worker that this one replaces has left. */
  | { readonly sojourn: 'listen' };

type Message = WorkerReport | WorkerOrder;

export function isMessage<Kind extends Message['sojourn']>(
  message: unknown,
  kind: Kind,
): message is Extract<Message, { sojourn: Kind }> {
  return isObject(message) && message['sojourn'] === kind;
}
