/**
 * Opens a session for an `initialize`: at another instance if this one drains, else here. Its answer is complete before
 * anything is sent, and leaves in one write. So it needs no event id, and the log does not keep it.
 */
import { type Inbound, isAbandoned } from '../../inbound/inbound.ts';
import type { LegacyParts } from './parts.ts';

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
    if (await openElsewhere(parts, inbound)) return;
  }
  const opened = await parts.opener.open(message, caller, unlogged);
  if (opened === undefined) return;
  const { session, answer } = opened;
  sink.sessionId = session?.id;
  sink.begin(options.responseMode === 'json' ? responses.json : responses.post);
  sink.message(JSON.stringify(answer));
  sink.end();
}

/** `false`: no other instance opened it. */
async function openElsewhere({ instance, relay }: LegacyParts, inbound: Inbound): Promise<boolean> {
  for (const other of await instance.othersServing())
    if ((await relay.send(other, inbound)) === 'done' || isAbandoned(inbound)) return true;
  return false;
}
