/** What a supervisor and its workers say to each other. Loaders (tsx) use the same channel: whatever is not ours is ignored. */

/** A worker tells. */
export type WorkerReport =
  /** It accepts connections; `banner` is what `serve` would have printed. */
  | { readonly sojourn: 'listening'; readonly banner: string }
  /** It drains, and ends by itself. */
  | { readonly sojourn: 'leaving' };

/** A worker is asked to drain. `socketCloses`: no other process holds the socket any more. */
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
