/** A request that is refused before its session is looked at. */
import { badRequest, forbidden, RPC, SojournError, unavailable } from './sojourn-error.ts';
import { quoted, shown } from '../shown.ts';

export const hostNotAllowed = (host: string | undefined): SojournError =>
  forbidden(
    'HOST_NOT_ALLOWED',
    'host',
    `Host ${quoted(host ?? '')} is not allowed here; name it in the option allowedHosts`,
  );

export const originNotAllowed = (origin: string): SojournError =>
  forbidden(
    'ORIGIN_NOT_ALLOWED',
    'origin',
    `Origin ${quoted(origin)} is not allowed here; name it in the option allowedOrigins`,
  );

/**
 * `challenge` is the `WWW-Authenticate` header, empty where no token is expected. The body has OAuth's format.
 * `message` is for logs.
 */
export const unauthorized = (challenge: string, description: string, message = description): SojournError =>
  new SojournError('UNAUTHORIZED', message, {
    status: 401,
    rpc: RPC.transport,
    data: { reason: 'unauthorized' },
    ...(challenge !== '' && { headers: { 'WWW-Authenticate': challenge } }),
    body: JSON.stringify({ error: 'invalid_token', error_description: description }),
  });

export const authAway = (cause?: unknown): SojournError =>
  unavailable(
    'AUTH_AWAY',
    'auth_away',
    'Service Unavailable: access tokens cannot be verified now, because the authorization server cannot be reached',
    cause,
  );

export const methodNotAllowed = (method: string, allow: string): SojournError =>
  new SojournError('METHOD_NOT_ALLOWED', `Method ${shown(method)} is not allowed here; use ${allow}`, {
    status: 405,
    rpc: RPC.transport,
    headers: { Allow: allow },
  });

export const notAcceptable = (needed: string): SojournError =>
  new SojournError('NOT_ACCEPTABLE', `Not Acceptable: the client must accept ${needed}`, {
    status: 406,
    rpc: RPC.transport,
  });

export const unsupportedMediaType = (got: string | undefined): SojournError =>
  new SojournError(
    'UNSUPPORTED_MEDIA_TYPE',
    `Unsupported Media Type: Content-Type must be application/json, not ${quoted(got ?? '')}`,
    { status: 415, rpc: RPC.transport },
  );

export const bodyTooLarge = (limit: number): SojournError =>
  new SojournError('BODY_TOO_LARGE', `Payload Too Large: a body may have ${limit} bytes (limits.bodyBytes)`, {
    status: 413,
    rpc: RPC.transport,
    data: { reason: 'body_too_large' },
    headers: { Connection: 'close' },
  });

export const bodyUnreadable = (cause?: unknown): SojournError =>
  new SojournError('BODY_UNREADABLE', 'Parse error: the request body could not be read', {
    status: 400,
    rpc: RPC.parse,
    cause,
  });

export const parseError = (why: string): SojournError => badRequest('PARSE_ERROR', RPC.parse, `Parse error: ${why}`);

export const invalidRequest = (why: string): SojournError =>
  badRequest('INVALID_REQUEST', RPC.invalidRequest, `Invalid Request: ${why}`);

export const repeatedField = (name: string): SojournError =>
  invalidRequest(`the header ${name} was sent more than once`);

export const invalidParams = (why: string): SojournError =>
  badRequest('INVALID_PARAMS', RPC.invalidParams, `Invalid params: ${why}`);

export const batchNotAllowed = (why: string): SojournError =>
  badRequest('BATCH_NOT_ALLOWED', RPC.invalidRequest, `Invalid Request: ${why}`);

export const unsupportedVersion = (requested: string, supported: readonly string[]): SojournError =>
  badRequest(
    'UNSUPPORTED_VERSION',
    RPC.unsupportedVersion,
    `Unsupported protocol version ${quoted(requested)}; this endpoint serves ${supported.join(', ')}`,
    { supported: [...supported], requested: shown(requested) },
  );

export const headerMismatch = (header: string, got: string | undefined, body: string): SojournError =>
  badRequest(
    'HEADER_MISMATCH',
    RPC.headerMismatch,
    `Header mismatch: ${header} is ${got === undefined ? 'missing' : quoted(got)}, ${body}`,
    { mismatch: { header: got === undefined ? '(missing)' : shown(got), body } },
  );
