/**
 * The messages between a supervisor and its workers. Loaders such as tsx use the same channel, so others are ignored.
 */

/** From a worker to its supervisor. */
export type WorkerReport =
  /** The worker accepts connections. `banner` is the banner that `serve` prints without a supervisor. */
  | { readonly sojourn: 'listening'; readonly banner: string }
  /** The worker drains and then ends. */
  | { readonly sojourn: 'leaving' };

/** From the supervisor: drain. `socketCloses`: no other process holds the socket any more. */
export type WorkerOrder = { readonly sojourn: 'drain'; readonly socketCloses?: boolean };

export function isReport(message: unknown): message is WorkerReport {
  const kind = kindOf(message);
  return kind === 'listening' || kind === 'leaving';
}

export function isOrder(message: unknown): message is WorkerOrder {
  return kindOf(message) === 'drain';
}

function kindOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null && 'sojourn' in message ? message.sojourn : undefined;
}
