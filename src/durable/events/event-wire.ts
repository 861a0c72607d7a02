/**
 * What the extension `io.modelcontextprotocol/events` puts on the wire and may still change: its name, the shape of the
 * capability, the codes of errors, the headers and bodies of webhooks. No other file names them. The extension is in
 * Beta (SEP-3415): ChatGPT follows the codes of the design sketch, and the SEP has its own. Clients of today branch on
 * -32602 and on the name in `message` alone.
 */
import type { SentEvent } from '../../base/options/events-options.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { DeliveryFailure } from './subscription-record.ts';

const EXTENSION = 'io.modelcontextprotocol/events';

/** ChatGPT and the AI SDK read the top of the capabilities, the SEP has it among the extensions. */
export const EVENT_CAPABILITIES = { events: {}, extensions: { [EXTENSION]: {} } };

export const EVENT_METHODS = [
  'events/list',
  'events/poll',
  'events/subscribe',
  'events/unsubscribe',
] as const;

/** The code of the design sketch, and that of the SEP. */
const CODES = {
  InvalidParams: [-32602, -32602],
  NotFound: [-32011, -32023],
  Forbidden: [-32012, -32024],
  ResourceExhausted: [-32013, -32025],
  Unsupported: [-32014, -32026],
  CallbackEndpointError: [-32015, -32027],
} as const;

/** An error as its client gets it. */
export class EventError extends Error {
  readonly kind: keyof typeof CODES;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(kind: keyof typeof CODES, data: Readonly<Record<string, unknown>> = {}) {
    super(kind);
    this.kind = kind;
    this.data = data;
  }

  /** `bySep`: the client declares the extension. */
  json(bySep: boolean): { code: number; message: string; data: unknown } {
    return { code: CODES[this.kind][bySep ? 1 : 0], message: this.kind, data: this.data };
  }
}

export const invalid = (field: string, reason: string): EventError =>
  new EventError('InvalidParams', { field, reason });

/** Whether capabilities of a client declare the extension. */
export const declaresEvents = (capabilities: unknown): boolean =>
  isObject(capabilities) &&
  isObject(capabilities['extensions']) &&
  isObject(capabilities['extensions'][EXTENSION]);

/** What a request of 2026-07-28 declares. */
export function capabilitiesIn({ params }: RpcRequest): unknown {
  const meta = params?.['_meta'];
  return isObject(meta) ? meta['io.modelcontextprotocol/clientCapabilities'] : undefined;
}

/** A text for a callback. `id`: its `webhook-id`, which ChatGPT and the AI SDK compare with `eventId`. */
export interface WebhookMessage {
  readonly id: string;
  readonly subscription: string;
  readonly body: string;
}

export const eventMessage = (
  subscription: string,
  event: SentEvent,
  cursor: string | null,
): WebhookMessage => ({
  id: event.eventId,
  subscription,
  body: JSON.stringify({ ...event, cursor }),
});

export const verification = (
  subscription: string,
  nonce: string,
  challenge: string,
): WebhookMessage => ({
  id: `msg_verification_${nonce}`,
  subscription,
  body: JSON.stringify({ type: 'verification', challenge }),
});

/** Events before this cursor are not kept any more, and the callback has not taken all of them. */
export const gapMessage = (subscription: string, cursor: string): WebhookMessage => ({
  id: `msg_gap_${subscription}_${cursor}`,
  subscription,
  body: JSON.stringify({ type: 'gap', cursor }),
});

export const terminated = (subscription: string): WebhookMessage => ({
  id: `msg_terminated_${subscription}`,
  subscription,
  body: JSON.stringify({
    type: 'terminated',
    error: new EventError('Forbidden', { reason: 'Access revoked' }).json(false),
  }),
});

/**
 * What the refresh of a subscription tells of a callback that fails. `active: false`: retries were suspended, and this
 * refresh has begun them again. When the callback took its last event is not kept.
 */
export const deliveryStatus = ({ since, why, isSuspended }: DeliveryFailure): object => ({
  active: !isSuspended,
  lastDeliveryAt: null,
  lastError: why,
  failedSince: new Date(since).toISOString(),
});

/** `sign`: the signature of a text by each secret in use, as Standard Webhooks ask. */
export function webhookHeaders(
  { id, subscription, body }: WebhookMessage,
  now: number,
  sign: (text: string) => readonly string[],
): Record<string, string | number> {
  const time = Math.floor(now / 1_000);
  return {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'webhook-id': id,
    'webhook-timestamp': time,
    'webhook-signature': sign(`${id}.${time}.${body}`)
      .map((signature) => `v1,${signature}`)
      .join(' '),
    'x-mcp-subscription-id': subscription,
  };
}
