/**
 * The messages between a supervisor and its workers. Loaders such as tsx use the same channel, so others are ignored.
 */
import type { Family } from '../observe/metric-table.ts';
import { isObject } from '../protocol/jsonrpc.ts';

/** From a worker to its supervisor. */
export type WorkerReport =
  /** The worker accepts connections. `banner` is the banner that `serve` prints without a supervisor. */
  | { readonly sojourn: 'listening'; readonly banner: string }
  /** The worker drains and then ends. */
  | { readonly sojourn: 'leaving' }
  /** The metrics of the worker. */
  | { readonly sojourn: 'metrics'; readonly families: readonly Family[] };

export interface DrainOrder {
  readonly sojourn: 'drain';
  /** No other process holds the socket any more. */
  readonly socketCloses: boolean;
  /** How long running calls may take. */
  readonly timeoutMs: number;
}

/** From the supervisor. */
export type WorkerOrder =
  | DrainOrder
  /** Listen although the store is away: the worker that this one replaces has left. */
  | { readonly sojourn: 'listen' }
  /** Report the metrics. */
  | { readonly sojourn: 'measure' };

type Message = WorkerReport | WorkerOrder;

export function isMessage<Kind extends Message['sojourn']>(
  message: unknown,
  kind: Kind,
): message is Extract<Message, { sojourn: Kind }> {
  return isObject(message) && message['sojourn'] === kind;
}
