/**
 * The messages between a supervisor and its workers. Loaders such as tsx use the same channel, so others are ignored.
 */
import type { ProcessEnd } from '../dashboard/server/options.ts';
import type { Family } from '../observe/metric-table.ts';
import { isObject } from '../protocol/jsonrpc.ts';

/** From a worker to its supervisor. */
export type WorkerReport =
  /** The worker accepts connections. `banner` is the banner that `serve` prints without a supervisor. */
  | { readonly sojourn: 'listening'; readonly banner: string; readonly instance: string }
  /** The worker does not listen yet: its store is away, and the worker that it replaces still serves. */
  | { readonly sojourn: 'waiting' }
  /** The worker drains and then ends. */
  | { readonly sojourn: 'leaving' }
  /** What can be handed over is handed over, and calls still run. Only a worker of `sojourn dev` reports it. */
  | { readonly sojourn: 'finishing' }
  /** The metrics of the worker. */
  | { readonly sojourn: 'metrics'; readonly families: readonly Family[] };

export interface DrainOrder {
  readonly sojourn: 'drain';
  /** No other process holds the socket any more. */
  readonly socketCloses?: boolean;
  /** How long running calls may take, in place of `--drain-timeout-ms`. */
  readonly timeoutMs?: number;
}

/** From the supervisor. */
export type WorkerOrder =
  | DrainOrder
  /** Listen although the store is away: the worker that this one replaces has left. */
  | { readonly sojourn: 'listen' }
  /** Send `list_changed`: sessions of an earlier build have arrived here. */
  | { readonly sojourn: 'announce' }
  /** Report the metrics now. */
  | { readonly sojourn: 'measure' }
  | EndedOrder;

/** Another process on the same store ended without a drain. */
export interface EndedOrder extends ProcessEnd {
  readonly sojourn: 'ended';
}

type Message = WorkerReport | WorkerOrder;

export function isMessage<Kind extends Message['sojourn']>(
  message: unknown,
  kind: Kind,
): message is Extract<Message, { sojourn: Kind }> {
  return isObject(message) && message['sojourn'] === kind;
}
