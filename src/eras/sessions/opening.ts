/**
 * Opens a session for an `initialize`: at another instance if this one drains, else here. Its answer is on a stream,
 * which can be resumed.
 */
import { ownerLost } from '../../base/errors.ts';
import { errorJson } from '../../http/answer.ts';
import { type Inbound, isAbandoned } from '../../session/inbound/inbound.ts';
import type { RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { HANDSHAKE_STREAM } from '../../session/streams/event-id.ts';
import type { LegacyParts } from './era-parts.ts';

/** Throws why no session was opened. */
export async function openSession(parts: LegacyParts, inbound: Inbound): Promise<void> {
  const { caller, sink, post, unlogged } = inbound;
  const first = post?.messages[0];
  if (first?.kind !== 'request') throw new Error('Only an initialize opens a session');
  const { message } = first;
  const { options, responses } = parts;
  if (parts.lifecycle.prefersOthers) {
    // The relaying instance tries the next one.
    if (caller.relayOrigin !== undefined) return sink.handOver(false);
    if (await openElsewhere(parts, inbound, message)) return;
  }
  const opened = await parts.opener.open(message, caller, unlogged);
  if (opened === undefined) return;
  const { session, answer } = opened;
  sink.sessionId = session?.id;
  const json = JSON.stringify(answer);
  const asJson = options.responseMode === 'json';
  if (asJson || session === undefined) {
    sink.begin(asJson ? responses.json : responses.post);
    sink.message(json);
    session?.exit();
    return sink.end();
  }
  const stream = session.calls.running.openStream([message], session.streamLog, {
    key: HANDSHAKE_STREAM,
  });
  // A stream can be resumed only if its first event is in the log.
  const primed = stream.storePoint();
  if ((primed instanceof Promise ? await primed : primed) !== 'written') stream.stopLogging();
  sink.begin(responses.resumed);
  session.calls.begin(stream, sink);
  session.calls.running.reply(stream, json);
  stream.whenFlushed(() => session.exit());
}

/** `false`: no other instance opened it. */
async function openElsewhere(
  { instance, relay }: LegacyParts,
  inbound: Inbound,
  { id }: RpcRequest,
): Promise<boolean> {
  const { sink } = inbound;
  for (const other of await instance.othersServing()) {
    const outcome = await relay.send(other, inbound);
    if (outcome === 'done' || isAbandoned(inbound)) return true;
    if (outcome === 'refused' || !sink.hasBegun) continue;
    // The client has the id of a session whose owner crashed, and must initialize again.
    sink.message(errorJson(ownerLost(true), id));
    sink.end();
    return true;
  }
  return false;
}
