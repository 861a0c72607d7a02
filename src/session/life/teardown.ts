/**
 * Ends the copy of a session that leaves its instance, in this order: running requests and questions that wait get
 * their error, sinks end, `signal` aborts, `run()` resolves, and the server is closed.
 */
import { type AnyServer, closeServer } from '../../sdk/server-shape.ts';
import type { LeaveReason, Logger } from '../../types.ts';
import { staysResumable } from '../../inbound/retries.ts';
import { within } from '../../base/system.ts';
import { GRACE_MS } from '../hook-time.ts';
import type { SessionCalls } from '../calls/session-calls.ts';
import type { UnsentQuestions } from '../calls/unsent-questions.ts';
import type { SessionRun } from '../server/run.ts';
import type { SessionHost } from '../session-host.ts';
import type { Stream } from '../streams/stream.ts';

interface LeavingSession {
  readonly id: string;
  readonly logger: Logger;
  readonly calls: SessionCalls;
  readonly usedGetStream: Stream | undefined;
  readonly usedUnsent: Pick<UnsentQuestions, 'leave'> | undefined;
  readonly run: SessionRun | undefined;
  readonly server: AnyServer | undefined;
  readonly transport: { settled(): void; close(): Promise<void> };
  /** Requests run, or questions wait for their answers. */
  readonly busy: boolean;
}

export async function tearDown(
  session: LeavingSession,
  reason: LeaveReason,
  { options, lifecycle }: SessionHost,
  abortSignal: () => void,
): Promise<void> {
  const { calls, usedGetStream, run } = session;
  const { othersServe } = lifecycle;
  const isKept = staysResumable(reason);
  if (!session.busy) session.transport.settled();
  calls.leave(reason, othersServe);
  const refused = session.usedUnsent?.leave(reason);
  if (isKept) usedGetStream?.resuming.endToResume(reason === 'released' && othersServe);
  else if (reason !== 'fenced' || usedGetStream?.handOver() !== true) usedGetStream?.endSink();
  abortSignal();
  run?.leave(reason);
  if (run !== undefined) await run.heard();
  if (refused !== undefined) await refused;
  const closed = close(session, options);
  if (run === undefined && !isKept) return closed;
  await Promise.all([closed, run?.done(), isKept ? flushed(session) : undefined]);
}

/** Events that still wait for the store must be stored before the session is released, or the store refuses them. */
async function flushed({ calls, usedGetStream }: LeavingSession): Promise<void> {
  await calls.running.flushed();
  await usedGetStream?.flushed();
}

async function close(
  { id: sessionId, logger, server, transport }: LeavingSession,
  { timeProvider }: SessionHost['options'],
): Promise<void> {
  try {
    await within(timeProvider, GRACE_MS, closeServer(server), () =>
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
