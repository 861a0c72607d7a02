/** Errors of application code, and errors that are thrown to it. */
import { SojournError } from './sojourn-error.ts';
import { sessionHash, shown } from '../shown.ts';

export const factoryFailed = (what: string, cause?: unknown): SojournError =>
  new SojournError('FACTORY_FAILED', `Internal error: ${what}`, { cause });

/** `what`: its session, or its request. */
export const hookReturned = (what: string): SojournError =>
  factoryFailed(`runSessionHandler returned ${what}; it must return run(), or await it`);

export const internal = (cause?: unknown): SojournError =>
  new SojournError('INTERNAL', 'Internal error', { cause });

export const noStream = (method: string): SojournError =>
  new SojournError(
    'NO_STREAM',
    `${method} cannot be sent: the client has no GET stream open and no request is running here. ` +
      'Send it from a handler, through its context (ctx.mcpReq.send, ctx.mcpReq.elicitInput), so that it takes the stream of that request',
  );

export const notInitialized = (method: string): SojournError =>
  new SojournError(
    'NOT_INITIALIZED',
    `${method} cannot be sent before the client's notifications/initialized; only ping and logging can`,
  );

export const statelessUnsupported = (what: string): SojournError =>
  new SojournError(
    'SESSION_REQUIRED',
    `${what} is not supported in stateless mode: without a session there is no way back to the client. ` +
      "Use sessionMode: 'hybrid' or 'stateful', or return inputRequired() to clients of 2026-07-28",
  );

export const sessionGone = (id: string, reason: string): SojournError =>
  new SojournError(
    'SESSION_GONE',
    `Session ${sessionHash(id)} is no longer live on this instance (${reason})`,
  );

export const outsideHandler = (what: string): SojournError =>
  new SojournError(
    'OUTSIDE_HANDLER',
    `${what} was called on the shared server while none of its handlers runs, so its client is unknown. ` +
      (what === 'close()'
        ? 'To stop serving, close the endpoint: endpoint.close(). For one session, use endpoint.sessions.end(id)'
        : 'In a handler, use its context (ctx.mcpReq). For one session at a later time, keep currentSession().server'),
  );

export const stateTooLarge = (bytes: number, limit: number, of = 'session.state'): SojournError =>
  new SojournError(
    'STATE_TOO_LARGE',
    `${of} would have ${bytes} bytes of JSON; ${limit} are allowed (limits.stateBytes). Nothing was changed`,
  );

export const sealTooLong = (length: number, limit: number): SojournError =>
  new SojournError(
    'SEAL_TOO_LONG',
    `The handshake does not fit into a session id: it takes ${length} characters, ${limit} are allowed; use a store for such clients`,
  );

/** What `next()` of `middleware` rejects with. */
export const callCut = (): SojournError =>
  new SojournError(
    'CALL_ABORTED',
    'The request ended before its server answered: its client cancelled it or left, or its session left this instance',
  );

export const nextTwice = (): SojournError =>
  new SojournError('NEXT_TWICE', 'middleware called next() twice; a request runs once');

export const requestChanged = (method: string, what: string): SojournError =>
  new SojournError(
    'REQUEST_CHANGED',
    `middleware changed ${what} (${shown(method)}); it may change the arguments and _meta of a request`,
  );
