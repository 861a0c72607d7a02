/** What a client may subscribe to on a session: `limits.uriBytes` and `limits.subscriptionBytes`. */
import { overMemory, type SojournError, subscriptionsTooLarge, uriTooLarge } from '../../errors.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { Registry } from '../../session/registry.ts';
import type { LiveSession } from '../../session/session.ts';

/** A URI in a set, and its part of the record. */
const ENTRY_BYTES = 64;

export function checkSubscription(
  { method, params }: RpcRequest,
  session: LiveSession,
  registry: Registry,
  { limits }: ResolvedOptions,
): SojournError | undefined {
  const uri = params?.['uri'];
  if (method !== 'resources/subscribe' || typeof uri !== 'string') return undefined;
  if (Buffer.byteLength(uri) > limits.uriBytes) return uriTooLarge(limits.uriBytes);
  const uris = session.record.subscriptions;
  if (uris?.has(uri) === true) return undefined;
  let bytes = Buffer.byteLength(uri);
  let held = bytes + ENTRY_BYTES;
  for (const other of uris ?? []) {
    bytes += Buffer.byteLength(other);
    held += other.length + ENTRY_BYTES;
  }
  if (bytes > limits.subscriptionBytes) return subscriptionsTooLarge(limits.subscriptionBytes);
  return registry.held.set(session, held) ? undefined : overMemory();
}
