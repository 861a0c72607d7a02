/** The log lines about an instance, its tasks and its calls that run once. */
import type { Logger } from '../types.ts';
import { sessionHash, shown } from '../base/shown.ts';
import type { StepNotice } from './step-notices.ts';

const JOINED = 'This instance joined the deployment';
const DRAINS = 'This instance drains: it takes no new work and hands its sessions to other instances';
const DRAINED = 'This instance has drained';
const INTERRUPTED = 'This instance has drained, and interrupted calls that took longer than its time to drain';

/** `sojourn dev` replaces its worker at each edit, and says so itself. */
export const INSTANCE_LINES: ReadonlySet<string> = new Set([JOINED, DRAINS, DRAINED, INTERRUPTED]);

export const logJoined = ({ instance, before }: StepNotice<'joined'>, logger: Logger): void =>
  logger.info({ instance, before }, JOINED);

export const logDraining = (logger: Logger): void => logger.info({}, DRAINS);

export function logDrained({ released, interrupted, ms }: StepNotice<'drained'>, logger: Logger): void {
  const fields = { released, interrupted, ms: Math.round(ms) };
  if (interrupted > 0) logger.warn(fields, INTERRUPTED);
  else logger.info(fields, DRAINED);
}

const NO_ROOM =
  'A task failed: its result or its questions are too large, or there is no room for them. Let its tool return a link to the result';
const STOPPED =
  'A task failed: its instance stopped before its tool had ended. Give the drain more time than the tool takes, or say resume: true of task()';

/** What an operator can do about a failed task, by its reason. */
const FAILURES: Readonly<Record<string, string>> = {
  owner_lost:
    'A task failed: its instance died, and its tool may not run again. If it may, say so with resume: true of task(), or with idempotentHint of the tool',
  too_many_attempts:
    'A task failed: the process of each of its runs died. Look at the last lines of these processes, and call its tool no more until you know why',
  result_too_large: NO_ROOM,
  over_memory: NO_ROOM,
  store_full: NO_ROOM,
  draining: STOPPED,
  closed: STOPPED,
};

/** Ends that an operator should look at. The others are ordinary. */
export function logTask(notice: StepNotice<'taskContinued' | 'taskEnded'>, logger: Logger): void {
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
  const failure = reason === undefined ? undefined : FAILURES[reason];
  // A client makes as many as it likes.
  if (failure === undefined) logger.debug(about, 'A task ended');
  else logger.warn(about, failure);
}

const ONCE = {
  attached: 'A call that runs once got the outcome of a run that it waited for',
  replayed: 'A call that runs once got the outcome of an earlier call',
  conflict:
    'A call that runs once is refused: an earlier call with its key had other arguments. Let the key differ where what the tool does differs',
  unknown:
    'A call that runs once is refused: an earlier call with its key may have run, and its result is not known. Look there before its key runs again',
};

/** Clients cause them as fast as they call: the log limits the warnings. */
export const logOnce = ({ tool, how, sessionId }: StepNotice<'onceAnswered'>, logger: Logger): void =>
  logger[how === 'conflict' || how === 'unknown' ? 'warn' : 'debug']({ tool: shown(tool), sessionId }, ONCE[how]);
