/** Aborts when the client goes away before its answer is complete. */
export function closeSignal(exchange: { onClose(fn: () => void): void }): AbortSignal {
  const controller = new AbortController();
  exchange.onClose(() => controller.abort());
  return controller.signal;
}
