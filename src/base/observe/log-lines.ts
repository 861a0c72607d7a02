/**
 * Writes the log lines about what happens in an endpoint: the one listener of `notices.ts` that logs. A text is the
 * same for every line of its reason, so that the log can limit them; what differs is in the fields. No line holds an
 * argument, a result or the URI of a resource, and none the message of what a handler threw without `logErrorMessages`.
 */
import { SojournError } from '../errors.ts';
import { sessionHash, shown, userName } from '../shown.ts';
import type { Logger } from '../types.ts';
import { KnownNames } from './known-names.ts';
import type {
  HandlerThrewNotice,
  EmittedNotice,
  Notices,
  RefusedNotice,
  RequestNotice,
} from './notices.ts';
import type { StepNotice } from './step-notices.ts';
import { callsTool, methodOf, takesName } from '../protocol/methods.ts';

interface LineOptions {
  readonly logger: Logger;
  /** `undefined`: the memory store. */
  readonly store: { readonly durable: boolean } | undefined;
  /** Lines about what handlers throw have its message. */
  readonly logErrorMessages: boolean;
}

const DROPPED: Readonly<Record<StepNotice<'notificationDropped'>['sender'], string>> = {
  'shared server':
    'A notification is dropped: it was sent through the shared server while no handler of its session ran. ' +
    'Keep currentSession().server in the handler, and send through that',
  'ended server':
    'A notification is dropped: the session or request of its server has ended. ' +
    'Stop what sends it when session.signal aborts, or in onclose of the server',
};

const CHANGED =
  'A call changed a list of its server. After a restart the change is gone, and other instances do not have it. ' +
  'Register everything before the first request; what a call unlocks, keep in session.state, and let a factory read it';

const ENDED = 'A session ended';
const IDLE = `${ENDED}: no request came for longer than idleTimeoutMs`;
const JOINED = 'This instance joined the deployment';
const DRAINS =
  'This instance drains: it takes no new work and hands its sessions to other instances';
const DRAINED = 'This instance has drained';
const SUSPENDED =
  'A callback failed many times in a row: it is tried each 10 minutes, until its client refreshes the subscription';
const INTERRUPTED =
  'This instance has drained, and interrupted calls that took longer than its time to drain';

/** `sojourn dev` replaces its worker at each edit, and says so itself. */
export const INSTANCE_LINES: ReadonlySet<string> = new Set([JOINED, DRAINS, DRAINED, INTERRUPTED]);

/** Keys come from clients and from the application, and must not fill the memory. */
const MOST_KEYS = 100;

/** Where the lines of requests and of calls go; `undefined`: nowhere. */
interface TrafficLoggers {
  readonly requests?: Logger | undefined;
  readonly calls?: Logger | undefined;
}

export function logNotices(
  notices: Notices,
  options: LineOptions,
  { requests, calls }: TrafficLoggers,
): void {
  const { logger, store } = options;
  const [dropped, changed] = [new KnownNames(MOST_KEYS), new KnownNames(MOST_KEYS)];
  const write = (notice: EmittedNotice): void => {
    switch (notice.kind) {
      case 'notificationDropped': {
        const fields = { method: shown(notice.method) };
        if (dropped.add(`${notice.sender} ${fields.method}`))
          logger.warn(fields, DROPPED[notice.sender]);
        return undefined;
      }
      case 'listChanged': {
        const call = calledFields(notice);
        if (changed.add(JSON.stringify(call))) logger.warn({ ...call, list: notice.list }, CHANGED);
        return undefined;
      }
      case 'instanceJoined':
        // A store in this process has one instance.
        if (store?.durable === true)
          logger.info({ instance: notice.instance, before: notice.before }, JOINED);
        return undefined;
      case 'request':
        return requests?.info(requestFields(notice), REQUEST_LINE);
      case 'callEnded':
        return calls?.info(callFields(notice), CALL_LINE);
      case 'callLost':
        return calls?.info(lostFields(notice), CALL_LINE);
      case 'requestRefused':
        // One line for each refusal.
        if (requests === undefined || notice.exchange.watched === undefined)
          writeRefused(notice, logger);
        return undefined;
      case 'handlerThrew':
        return writeThrown(notice, options);
      case 'onceAnswered':
        return logOnce(notice, logger);
      case 'taskContinued':
      case 'taskEnded':
        return logTask(notice, logger);
      case 'subscriptionChanged': {
        const { event, subscription, userKey } = notice;
        if (notice.state === 'suspended')
          logger.warn({ event, subscription, userName: shown(userName(userKey)) }, SUSPENDED);
        return undefined;
      }
      case 'drainBegun':
        return logger.info({}, DRAINS);
      case 'drainEnded':
        return logDrained(notice, logger);
      default:
        return logSession(notice, logger);
    }
  };
  notices.listen(write, { requests: requests !== undefined, calls: calls !== undefined });
}

/** The steps of a session, and a client without one. */
function logSession(notice: EmittedNotice, logger: Logger): void {
  switch (notice.kind) {
    case 'clientSeen':
    case 'sessionOpened':
      return logger.info(clientFields(notice), 'A client connected');
    case 'sessionEnded':
      return logger.info(
        { reason: notice.reason, sessionId: notice.sessionId },
        notice.reason === 'idle' ? IDLE : ENDED,
      );
    case 'sessionRestored': {
      const { cause, from, sessionId } = notice;
      return logger.info({ cause, from, sessionId }, 'A session continues here');
    }
    case 'sessionHibernated':
      return logger.info({ sessionId: notice.sessionId }, 'A session hibernated');
    case 'sessionReleased':
    case 'sessionFenced':
      return logger.debug(
        { reason: notice.reason, sessionId: notice.sessionId },
        'A session left this instance',
      );
    // The parts that know more log the other steps themselves.
    default:
      return undefined;
  }
}

function clientFields(
  notice: Extract<EmittedNotice, { readonly kind: 'clientSeen' | 'sessionOpened' }>,
): object {
  const { name, version } = notice.clientInfo;
  const session = 'sessionId' in notice ? { sessionId: notice.sessionId } : {};
  return {
    client: `${shown(name)} ${shown(version)}`,
    protocol: shown(notice.protocolVersion),
    ...session,
  };
}

/** The message of a line about a request. */
export const REQUEST_LINE = 'request';

/** The message of a line about a run of a call. */
const CALL_LINE = 'call';

function callFields(notice: StepNotice<'callEnded'>): object {
  const { userKey, client, sessionId, method, target, taskId, ms } = notice;
  const { outcome, error, reason, threw, instance, run } = notice;
  return {
    userName: userKey && shown(userName(userKey)),
    client: client && `${client.name} ${client.version}`,
    sessionId,
    method: shown(method),
    [kindOfName(method) ?? 'tool']: target,
    task: taskId && sessionHash(taskId),
    outcome,
    error,
    reason,
    threw,
    ms: Math.round(ms * 10) / 10,
    instance,
    run,
  };
}

/** The run of an instance that died has this line instead, at the instance that found the call. */
function lostFields(notice: StepNotice<'callLost'>): object {
  const { userKey, client, sessionId, method, target, runsAgain, instance, run } = notice;
  return {
    userName: userKey && shown(userName(userKey)),
    client: client && `${client.name} ${client.version}`,
    sessionId,
    method: method && shown(method),
    [kindOfName(method) ?? 'tool']: target,
    outcome: 'lost',
    runsAgain,
    instance,
    run,
  };
}

function requestFields(notice: RequestNotice): object {
  const { http, method, target, status, ms, refused, failure, resumed, left, sessionId } = notice;
  return {
    http,
    method,
    [kindOfName(method) ?? 'tool']: target,
    status,
    ms: Math.round(ms * 10) / 10,
    refused: refused?.reason,
    why: refused?.why,
    userName: notice.userName,
    share: refused?.share,
    ...failure,
    resumed: resumed || undefined,
    left: left || undefined,
    sessionId,
  };
}

function writeRefused(
  { status, reason, why, share, sessionId }: RefusedNotice,
  logger: Logger,
): void {
  // Errors of this status are logged with their cause where they are made.
  if (status === 500) return;
  // Clients look for a GET stream before they initialize.
  const level = status === 405 ? 'debug' : 'info';
  logger[level](
    { status, reason, why, share, sessionId },
    `A request is refused: ${status} ${reason}`,
  );
}

function writeThrown(
  { sessionId, error, ...called }: Omit<HandlerThrewNotice, 'kind'>,
  { logger, logErrorMessages }: LineOptions,
): void {
  // What a hook did wrong, in words of this library.
  const isMisuse = error instanceof SojournError && error.code === 'FACTORY_FAILED';
  const message = logErrorMessages || isMisuse ? { message: messageOf(error) } : {};
  const fields = {
    ...calledFields(called),
    error: kindOf(error),
    at: placeOf(error),
    sessionId,
    ...message,
  };
  logger.warn(fields, callsTool(called.method) ? 'A tool threw' : 'A handler threw');
}

const kindOfName = (method: string | undefined): string | undefined =>
  takesName(method) ? methodOf(method).names?.kind : undefined;

/** The call by its tool or prompt, else by its method: a URI is in no line. */
function calledFields({ method, target }: Pick<HandlerThrewNotice, 'method' | 'target'>): object {
  const name = kindOfName(method) ?? 'method';
  const value = name === 'method' ? method : target;
  return { [name]: value && shown(value) };
}

const WORD = /^[\w$.]{1,64}$/;

/** `TypeError`, `Error ENOENT` */
export function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { name, code } = error as { readonly name: unknown; readonly code?: unknown };
  const words = [name, code].filter(
    (word): word is string => typeof word === 'string' && WORD.test(word),
  );
  return words.join(' ') || 'Error';
}

/** With its causes: that of a `fetch` says only in its cause what failed. */
function messageOf(error: unknown, depth = 5): string | undefined {
  if (!(error instanceof Error) || depth === 0)
    return typeof error === 'string' ? error : undefined;
  const { message, code, cause } = error as Error & { readonly code?: unknown };
  return (
    [String(message || (code ?? '')), messageOf(cause, depth - 1)].filter(Boolean).join(': ') ||
    undefined
  );
}

/** Nothing behind this is read of a stack. */
const STACK_LENGTH = 4_096;

/** File, line and column of the throw, outside of packages where it can. The message before the stack is left out. */
function placeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof SojournError || typeof error.stack !== 'string')
    return undefined;
  const message = String(error.message);
  const from = error.stack.indexOf(message);
  // Its message was changed since.
  if (from < 0) return undefined;
  const frames = error.stack
    .slice(from + message.length, from + message.length + STACK_LENGTH)
    .split('\n');
  const places = frames.slice(1).map(placeOfFrame).filter(isFile);
  return places.find((place) => !place.includes('node_modules')) ?? places[0];
}

/** `at name (file:///app/server.js:3:5)`, or without a name `at file:///app/server.js:3:5` */
function placeOfFrame(frame: string): string {
  const text = frame.trim();
  return text.endsWith(')')
    ? text.slice(text.lastIndexOf('(') + 1, -1)
    : text.slice(text.lastIndexOf('at ') + 3);
}

const isFile = (place: string): boolean =>
  !place.startsWith('node:') && (place.includes('/') || place.includes('\\'));

function logDrained({ released, interrupted, ms }: StepNotice<'drainEnded'>, logger: Logger): void {
  const fields = { released, interrupted, ms: Math.round(ms) };
  if (interrupted > 0) logger.warn(fields, INTERRUPTED);
  else logger.info(fields, DRAINED);
}

const NO_ROOM =
  'A task failed: its result or its questions are too large, or there is no room for them. Let its tool return a link to the result';
const STOPPED =
  'A task failed: its instance stopped before its tool had ended. Give the drain more time than the tool takes, or say afterCrash: "run" of task()';

/** What an operator can do about a failed task, by its reason. */
const FAILURES: Readonly<Record<string, string>> = {
  owner_lost:
    'A task failed: its instance died, and its tool may not run again. If it may, say so with afterCrash: "run" of task(), or with idempotentHint of the tool',
  too_many_attempts:
    'A task failed: the process of each of its runs died. Look at the last lines of these processes, and call its tool no more until you know why',
  result_too_large: NO_ROOM,
  over_memory: NO_ROOM,
  store_full: NO_ROOM,
  draining: STOPPED,
  endpoint_closed: STOPPED,
};

/** Ends that an operator should look at. The others are ordinary. */
function logTask(notice: StepNotice<'taskContinued' | 'taskEnded'>, logger: Logger): void {
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
const logOnce = ({ tool, how, sessionId }: StepNotice<'onceAnswered'>, logger: Logger): void =>
  logger[how === 'conflict' || how === 'unknown' ? 'warn' : 'debug'](
    { tool: shown(tool), sessionId },
    ONCE[how],
  );
