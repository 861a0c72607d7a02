/**
 * The messages between a supervisor and its workers. Loaders such as tsx use the same channel, so others are ignored.
 */

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

export function isReport(message: unknown): message is WorkerReport {
  const kind = kindOf(message);
  return kind === 'listening' || kind === 'waiting' || kind === 'leaving';
}

export function isOrder(message: unknown): message is WorkerOrder {
  const kind = kindOf(message);
  return kind === 'drain' || kind === 'listen';
}

function kindOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null && 'sojourn' in message ? message.sojourn : undefined;
}
