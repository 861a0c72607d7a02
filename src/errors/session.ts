/** A request that does not fit its session. */
import { badRequest, forbidden, RPC, SojournError } from './sojourn-error.ts';
import { quoted, shown } from '../shown.ts';

export const sessionIdMissing = (method: string): SojournError =>
  badRequest(
    'SESSION_ID_MISSING',
    RPC.transport,
    method === 'POST'
      ? 'Bad Request: the Mcp-Session-Id header is required; send initialize first, without it, to get one'
      : `Bad Request: ${method} needs the Mcp-Session-Id header of an initialized session; a stateless server takes POST only`,
  );

export const sessionIdInvalid = (limit: number): SojournError =>
  badRequest(
    'SESSION_ID_INVALID',
    RPC.transport,
    `Bad Request: Mcp-Session-Id must be 1 to ${limit} characters of visible ASCII (0x21-0x7E)`,
  );

export const sessionNotFound = (): SojournError =>
  new SojournError('SESSION_NOT_FOUND', 'Session not found', { status: 404, rpc: RPC.sessionNotFound });

/**
 * The same, said to a call that its client comes back for. Some hosts repeat a call when the message names a session.
 */
export const callSessionNotFound = (): SojournError =>
  new SojournError('SESSION_NOT_FOUND', 'The server no longer knows this request; it may have run', {
    status: 404,
    rpc: RPC.sessionNotFound,
    data: { reason: 'session_not_found', mayHaveRun: true },
  });

export const otherUser = (): SojournError =>
  forbidden('OTHER_USER', 'user', 'Forbidden: this session belongs to another user');

/** `challenge` is the `WWW-Authenticate` header. The body has OAuth's format, as in the SDK's own transports. */
export const insufficientScope = (challenge: string, description: string): SojournError =>
  new SojournError('INSUFFICIENT_SCOPE', description, {
    status: 403,
    rpc: RPC.transport,
    data: { reason: 'insufficient_scope' },
    headers: { 'WWW-Authenticate': challenge },
    body: JSON.stringify({ error: 'insufficient_scope', error_description: description }),
  });

export const versionChanged = (got: string, negotiated: string): SojournError =>
  badRequest(
    'VERSION_CHANGED',
    RPC.invalidRequest,
    `Invalid Request: MCP-Protocol-Version is ${shown(got)}, but this session was negotiated at ${negotiated}`,
  );

export const alreadyInitialized = (): SojournError =>
  badRequest(
    'ALREADY_INITIALIZED',
    RPC.invalidRequest,
    'Invalid Request: this session is initialized; open a new one without Mcp-Session-Id',
  );

export const requestIdInFlight = (id: string | number): SojournError =>
  badRequest(
    'REQUEST_ID_IN_FLIGHT',
    RPC.invalidRequest,
    `Invalid Request: the request id ${quoted(id)} is still in flight on this session`,
  );
