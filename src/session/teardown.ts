/**
 * Ends the copy of a session that leaves its instance, in this order: running requests and questions that wait get
 * their error, sinks end, `signal` aborts, `run()` resolves, and the server is closed.
 */
import { closeServer } from '../sdk/server-shape.ts';
import type { LeaveReason } from '../base/types.ts';
import { staysResumable } from './inbound/retries.ts';
import { within } from '../base/system.ts';
import { GRACE_MS } from '../base/hook-time.ts';
import type { SessionParts } from './session-parts.ts';

export async function tearDown(
  session: SessionParts,
  reason: LeaveReason,
  abortSignal: () => void,
): Promise<void> {
  const { host, calls, usedGetStream, run } = session;
  const { othersServe } = host.lifecycle;
  const isKept = staysResumable(reason);
  calls.leave(reason, othersServe);
  const refused = session.usedQuestions?.leave(reason);
  if (isKept) usedGetStream?.reader?.endToResume(reason === 'released' && othersServe);
  else if (reason !== 'fenced' || usedGetStream?.reader?.handOver() !== true)
    usedGetStream?.endSink();
  abortSignal();
  run?.leave(reason);
  if (run !== undefined) await run.heard();
  if (refused !== undefined) await refused;
  const closed = close(session);
  if (run === undefined && !isKept) return closed;
  // Events that wait for the store must be stored before the session is released, or the store refuses them.
  const flushed = Promise.all([calls.running.flushed(), usedGetStream?.flushed()]);
  await Promise.all([closed, run?.done(), isKept ? flushed : undefined]);
}

async function close({
  id: sessionId,
  host,
  logger,
  server,
  transport,
}: SessionParts): Promise<void> {
  try {
    await within(host.options.timeProvider, GRACE_MS, closeServer(server), () =>
      logger.warn(
        { sessionId, graceMs: GRACE_MS },
        'The server is still closing some time after its session ended or left',
      ),
    );
  } catch (cause) {
    logger.warn({ err: cause, sessionId }, 'The server of a session could not be closed');
  }
  await transport.close();
}
