/** A request that does not fit its session. */
import { reasonOf, SojournError } from './sojourn-error.ts';
import { quoted, shown } from '../shown.ts';

export const sessionIdMissing = (method: string): SojournError =>
  new SojournError(
    'SESSION_ID_MISSING',
    method === 'POST'
      ? 'Bad Request: the Mcp-Session-Id header is required; send initialize first, without it, to get one'
      : `Bad Request: ${method} needs the Mcp-Session-Id header of an initialized session; a stateless server takes POST only`,
  );

export const sessionIdInvalid = (limit: number): SojournError =>
  new SojournError(
    'SESSION_ID_INVALID',
    `Bad Request: Mcp-Session-Id must be 1 to ${limit} characters of visible ASCII (0x21-0x7E)`,
  );

export const sessionNotFound = (): SojournError =>
  new SojournError('SESSION_NOT_FOUND', 'Session not found');

/**
 * The same, said to a call that its client comes back for. Some hosts repeat a call when the message names a session.
 */
export const callSessionNotFound = (): SojournError =>
  new SojournError(
    'SESSION_NOT_FOUND',
    'The server no longer knows this request; it may have run',
    {
      data: { reason: reasonOf('SESSION_NOT_FOUND'), mayHaveRun: true },
    },
  );

export const otherUser = (): SojournError =>
  new SojournError('OTHER_USER', 'Forbidden: this session belongs to another user', {
    data: { reason: 'user' },
  });

export const versionChanged = (got: string, negotiated: string): SojournError =>
  new SojournError(
    'VERSION_CHANGED',
    `Invalid Request: MCP-Protocol-Version is ${shown(got)}, but this session was negotiated at ${negotiated}`,
  );

export const alreadyInitialized = (): SojournError =>
  new SojournError(
    'ALREADY_INITIALIZED',
    'Invalid Request: this session is initialized; open a new one without Mcp-Session-Id',
  );

export const requestIdInFlight = (id: string | number): SojournError =>
  new SojournError(
    'REQUEST_ID_IN_FLIGHT',
    `Invalid Request: the request id ${quoted(id)} is still in flight on this session`,
  );
