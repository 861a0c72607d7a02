/**
 * A message between instances as it travels on a channel: JSON with a version, the sender, and the message. A large
 * message is stored under a key, and the envelope holds the key. A slow subscriber has an output buffer on the server,
 * and Redis disconnects it when that buffer is full (`client-output-buffer-limit pubsub`). A stored value has no such
 * limit.
 */
import type { InstanceMessage } from 'sojourn/store-kit';

const VERSION = 1;
/** Length of the text above which a message is stored under a key. */
export const LARGE_MESSAGE_LENGTH = 1_048_576;

export type Envelope =
  | { readonly from: string; readonly message: InstanceMessage }
  | { readonly from: string; readonly key: string };

export const writeEnvelope = (from: string, message: string): string =>
  `{"v":${VERSION},"from":${JSON.stringify(from)},"message":${message}}`;

export const writeReference = (from: string, key: string): string => JSON.stringify({ v: VERSION, from, key });

/** Undefined: a newer version or another program wrote it. */
export function readEnvelope(text: string): Envelope | undefined {
  try {
    const envelope = JSON.parse(text) as Partial<Record<'v' | 'from' | 'key' | 'message', unknown>> | null;
    if (envelope?.v !== VERSION || typeof envelope.from !== 'string') return undefined;
    return typeof envelope.key === 'string' || isMessage(envelope.message) ? (envelope as Envelope) : undefined;
  } catch {
    return undefined;
  }
}

/** @throws SyntaxError when the text is no JSON. */
export function readLargeMessage(text: string): InstanceMessage | undefined {
  const message: unknown = JSON.parse(text);
  return isMessage(message) ? message : undefined;
}

function isMessage(value: unknown): value is InstanceMessage {
  return typeof value === 'object' && value !== null && typeof (value as { kind?: unknown }).kind === 'string';
}
