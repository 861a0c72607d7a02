/**
 * The body of node's request behind a web `Request`. The stream that an adapter makes of it takes ten times as long for
 * each chunk, and objects that outlive the request.
 */
import type { IncomingMessage } from 'node:http';
import { incomingOf } from './connection-end.ts';

/** `undefined`: there is none, or other code has begun to read it. */
export function unreadIncoming(request: Request): IncomingMessage | undefined {
  const incoming = incomingOf(request);
  if (incoming === undefined || incoming.destroyed || 'rawBody' in incoming) return undefined;
  const { readableDidRead, readableFlowing, readableEncoding } = incoming;
  return readableDidRead || readableFlowing !== null || readableEncoding !== null ? undefined : incoming;
}

/** Resolves at the end of the body, or once `take` wants no more of it. Rejects when the client leaves before. */
export function readIncoming(incoming: IncomingMessage, take: (chunk: Uint8Array) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (how: () => void): void => {
      incoming.off('data', onData).off('end', onEnd).off('close', onClose);
      how();
    };
    const onData = (chunk: Buffer): void => {
      if (take(chunk)) return;
      // The adapter reads and drops the rest.
      incoming.pause();
      settle(resolve);
    };
    const onEnd = (): void => settle(resolve);
    const onClose = (): void => settle(() => reject(incoming.errored ?? new Error('The connection closed')));
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', ignore);
  });
}

/** `close` follows. */
const ignore = (): void => {};
