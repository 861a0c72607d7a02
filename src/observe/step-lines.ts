/** The log lines about an instance, its tasks and its calls that run once. */
import type { Logger } from '../types.ts';
import { sessionHash, shown } from '../base/shown.ts';
import type {
  DrainedNotice,
  JoinedNotice,
  OnceAnsweredNotice,
  TaskContinuedNotice,
  TaskEndedNotice,
} from './step-notices.ts';

const JOINED = 'This instance joined the deployment';
const DRAINS = 'This instance drains: it takes no new work and hands its sessions to other instances';
const DRAINED = 'This instance has drained';
const INTERRUPTED = 'This instance has drained, and interrupted calls that took longer than its time to drain';

/** `sojourn dev` replaces its worker at each edit, and says so itself. */
export const INSTANCE_LINES: ReadonlySet<string> = new Set([JOINED, DRAINS, DRAINED, INTERRUPTED]);

export const logJoined = ({ instance, before }: JoinedNotice, logger: Logger): void =>
  logger.info({ instance, before }, JOINED);

export const logDraining = (logger: Logger): void => logger.info({}, DRAINS);

export function logDrained({ released, interrupted, ms }: DrainedNotice, logger: Logger): void {
  const fields = { released, interrupted, ms: Math.round(ms) };
  if (interrupted > 0) logger.warn(fields, INTERRUPTED);
  else logger.info(fields, DRAINED);
}

const FAILED =
  'A task failed: its instance died, and its tool may not run again. If it may, say so with resume: true of task(), or with idempotentHint of the tool';
const DIED =
  'A task failed: the process of each of its runs died. Look at the last lines of these processes, and call its tool no more until you know why';
const NO_ROOM =
  'A task failed: its result or its questions are too large, or there is no room for them. Let its tool return a link to the result';
const NO_ROOM_REASONS: readonly unknown[] = ['result_too_large', 'over_memory', 'store_full'];
const STOPPED =
  'A task failed: its instance stopped before its tool had ended. Give the drain more time than the tool takes, or say resume: true of task()';

/** Ends that an operator should look at. The others are ordinary. */
export function logTask(notice: TaskContinuedNotice | TaskEndedNotice, logger: Logger): void {
  const tool = notice.tool && shown(notice.tool);
  const task = sessionHash(notice.taskId);
  if (notice.kind === 'taskContinued') {
    const { cause, attempt } = notice;
    // Each answer of a client has a line as a request.
    if (cause !== 'answered') logger.info({ task, tool, cause, attempt }, 'A task continues here');
    return;
  }
  const { status, reason, ms } = notice;
  const about = { task, tool, status, reason, ms: ms && Math.round(ms) };
  if (reason === 'owner_lost') logger.warn(about, FAILED);
  else if (reason === 'too_many_attempts') logger.warn(about, DIED);
  else if (NO_ROOM_REASONS.includes(reason)) logger.warn(about, NO_ROOM);
  else if (reason === 'draining' || reason === 'closed') logger.warn(about, STOPPED);
  // A client makes as many as it likes.
  else logger.debug(about, 'A task ended');
}

const ATTACHED = 'A call that runs once got the outcome of a run that it waited for';
const REPLAYED = 'A call that runs once got the outcome of an earlier call';
const CONFLICT =
  'A call that runs once is refused: an earlier call with its key had other arguments. Let the key differ where what the tool does differs';
const UNKNOWN =
  'A call that runs once is refused: an earlier call with its key may have run, and its result is not known. Look there before its key runs again';

/** Clients cause them as fast as they call: the log limits the warnings. */
export function logOnce({ tool, how, sessionId }: OnceAnsweredNotice, logger: Logger): void {
  const asked = { tool: shown(tool), sessionId };
  if (how === 'conflict') logger.warn(asked, CONFLICT);
  else if (how === 'unknown') logger.warn(asked, UNKNOWN);
  else logger.debug(asked, how === 'attached' ? ATTACHED : REPLAYED);
}
