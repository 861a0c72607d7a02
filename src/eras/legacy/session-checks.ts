/** The checks of requests to a session, whichever transport of the 2025 era carries them. */
import {
  alreadyInitialized,
  batchNotAllowed,
  overMemory,
  requestIdInFlight,
  type SojournError,
  subscriptionsTooLarge,
  tooManyRequests,
  uriTooLarge,
} from '../../errors.ts';
import type { Checked, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { HeldBytes } from '../../session/life/held-bytes.ts';
import type { LiveSession } from '../../session/session.ts';
import type { SessionLimits } from '../../types.ts';

/** A URI in a set, and its part of the record. */
const ENTRY_BYTES = 64;

/** The requests of one POST. `TOO_MANY_REQUESTS`: they fit when others have ended. */
export function checkRequests(
  session: LiveSession,
  requests: readonly RpcRequest[],
  limits: Readonly<SessionLimits>,
  held: HeldBytes,
): SojournError | undefined {
  const { running } = session.requests;
  let counted = 0;
  for (const request of requests) {
    if (request.method === 'initialize') return alreadyInitialized();
    if (running.get(request.id) !== undefined) return requestIdInFlight(request.id);
    const full = checkSubscription(session, request, limits, held);
    if (full !== undefined) return full;
    if (request.method !== 'ping') counted += 1;
  }
  const limit = limits.requestsPerSession;
  // It would wait for ever, and so would every later request of the session.
  if (counted > limit)
    return batchNotAllowed(`a batch of ${counted} requests; ${limit} may run at once (limits.requestsPerSession)`);
  return counted > 0 && running.counted + counted > limit ? tooManyRequests(limit) : undefined;
}

/**
 * The notifications of one POST: as many handlers of notifications may run as requests. A cancellation never waits.
 */
export function checkNotifications(
  { inbound }: LiveSession,
  messages: readonly Checked[],
  { requestsPerSession: limit }: Readonly<SessionLimits>,
): SojournError | undefined {
  if (inbound.notified < limit) return undefined;
  const some = messages.some((one) => one.kind === 'notification' && one.message.method !== 'notifications/cancelled');
  return some ? tooManyRequests(limit) : undefined;
}

/** `limits.uriBytes` and `limits.subscriptionBytes`. */
function checkSubscription(
  session: LiveSession,
  { method, params }: RpcRequest,
  limits: Readonly<SessionLimits>,
  held: HeldBytes,
): SojournError | undefined {
  const uri = params?.['uri'];
  if (method !== 'resources/subscribe' || typeof uri !== 'string') return undefined;
  if (Buffer.byteLength(uri) > limits.uriBytes) return uriTooLarge(limits.uriBytes);
  const uris = session.record.subscriptions;
  if (uris?.has(uri) === true) return undefined;
  const { size = 0, bytes = 0, characters = 0 } = uris ?? {};
  const all = bytes + Buffer.byteLength(uri);
  if (all > limits.subscriptionBytes) return subscriptionsTooLarge(limits.subscriptionBytes);
  return held.set(session, characters + uri.length + (size + 1) * ENTRY_BYTES) ? undefined : overMemory();
}
