/** A request that is refused before its session is looked at. */
import { RPC } from './codes.ts';
import { reasonOf, SojournError, unavailable } from './sojourn-error.ts';
import { quoted, shown } from '../shown.ts';
import { MAX_DEPTH } from '../protocol/json-size.ts';

export const hostNotAllowed = (host: string | undefined): SojournError =>
  new SojournError(
    'HOST_NOT_ALLOWED',
    `Host ${quoted(host ?? '')} is not allowed here; name it in the option allowedHosts`,
    { data: { reason: 'host' } },
  );

export const originNotAllowed = (origin: string): SojournError =>
  new SojournError(
    'ORIGIN_NOT_ALLOWED',
    `Origin ${quoted(origin)} is not allowed here; name it in the option allowedOrigins`,
    { data: { reason: 'origin' } },
  );

/** `message` is for logs. */
export const unauthorized = (
  challenge: string,
  description: string,
  message = description,
): SojournError => challenged('UNAUTHORIZED', 'invalid_token', challenge, description, message);

/** RFC 6750, section 3.1: without a token there is no error code, by which clients tell logging in from refreshing. */
export const noToken = (challenge: string, description: string): SojournError =>
  challenged('UNAUTHORIZED', undefined, challenge, description);

export const insufficientScope = (challenge: string, description: string): SojournError =>
  challenged('INSUFFICIENT_SCOPE', 'insufficient_scope', challenge, description);

/**
 * `challenge` is the `WWW-Authenticate` header, empty where no token is expected. The body has OAuth's format, as in
 * the SDK's own transports.
 */
function challenged(
  code: 'UNAUTHORIZED' | 'INSUFFICIENT_SCOPE',
  error: string | undefined,
  challenge: string,
  description: string,
  message = description,
): SojournError {
  return new SojournError(code, message, {
    data: { reason: reasonOf(code) },
    headers: challenge === '' ? undefined : { 'WWW-Authenticate': challenge },
    body: JSON.stringify({ error, error_description: description }),
  });
}

export const authUnavailable = (cause?: unknown): SojournError =>
  unavailable(
    'AUTH_UNAVAILABLE',
    'access tokens cannot be verified now, because the authorization server cannot be reached',
    {
      cause,
    },
  );

export const methodNotAllowed = (method: string, allow: string): SojournError =>
  new SojournError(
    'METHOD_NOT_ALLOWED',
    `Method ${shown(method)} is not allowed here; use ${allow}`,
    {
      headers: { Allow: allow },
    },
  );

export const notAcceptable = (needed: string): SojournError =>
  new SojournError('NOT_ACCEPTABLE', `Not Acceptable: the client must accept ${needed}`);

export const unsupportedEncoding = (got: string): SojournError =>
  new SojournError(
    'UNSUPPORTED_MEDIA_TYPE',
    `Unsupported Media Type: Content-Encoding ${quoted(got)} is not taken; send the body as it is`,
    { headers: { 'Accept-Encoding': 'identity' } },
  );

export const unsupportedMediaType = (got: string | undefined): SojournError =>
  new SojournError(
    'UNSUPPORTED_MEDIA_TYPE',
    `Unsupported Media Type: Content-Type must be application/json, not ${quoted(got ?? '')}`,
  );

export const bodyTooLarge = (limit: number): SojournError =>
  new SojournError(
    'BODY_TOO_LARGE',
    `Payload Too Large: a body may have ${limit} bytes (limits.bodyBytes)`,
    {
      data: { reason: reasonOf('BODY_TOO_LARGE') },
      headers: { Connection: 'close' },
    },
  );

export const tooManyKeys = (limit: number): SojournError =>
  new SojournError(
    'TOO_MANY_KEYS',
    `Payload Too Large: a body may have ${limit} keys and objects (limits.bodyKeys)`,
    {
      data: { reason: reasonOf('TOO_MANY_KEYS') },
    },
  );

export const bodyUnreadable = (cause?: unknown): SojournError =>
  new SojournError('BODY_UNREADABLE', 'Parse error: the request body could not be read', { cause });

export const bodyConsumed = (): SojournError =>
  new SojournError(
    'BODY_UNREADABLE',
    'Parse error: other code has read the request body: pass what it made of it as parsedBody, or mount the endpoint before it',
  );

export const parseError = (why: string): SojournError =>
  new SojournError('PARSE_ERROR', `Parse error: ${why}`);

export const tooDeep = (): SojournError =>
  invalidRequest(`the body is nested deeper than ${MAX_DEPTH} levels`);

export const invalidRequest = (why: string): SojournError =>
  new SojournError('INVALID_REQUEST', `Invalid Request: ${why}`);

export const repeatedField = (name: string): SojournError =>
  invalidRequest(`the header ${name} was sent more than once`);

export const tooManyFields = (): SojournError =>
  new SojournError(
    'TOO_MANY_HEADERS',
    'Invalid Request: the request has more header fields than the server reads',
  );

export const invalidParams = (why: string): SojournError =>
  new SojournError('INVALID_PARAMS', `Invalid params: ${why}`);

export const batchNotAllowed = (why: string): SojournError =>
  new SojournError('BATCH_NOT_ALLOWED', `Invalid Request: ${why}`);

export const unsupportedVersion = (requested: string, supported: readonly string[]): SojournError =>
  new SojournError(
    'UNSUPPORTED_VERSION',
    `Unsupported protocol version ${quoted(requested)}; this endpoint serves ${supported.join(', ')}`,
    { data: { supported: [...supported], requested: shown(requested) } },
  );

/** Why the SDK does not take a message for one of 2026-07-28. */
interface SdkRejection {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

export function refusedBySdk({ code, message, data }: SdkRejection): SojournError {
  const ours =
    code === RPC.invalidParams
      ? 'INVALID_PARAMS'
      : code === RPC.headerMismatch
        ? 'HEADER_MISMATCH'
        : 'INVALID_REQUEST';
  return new SojournError(ours, message, {
    data: data as Readonly<Record<string, unknown>> | undefined,
  });
}

export const headerMismatch = (
  header: string,
  got: string | undefined,
  body: string,
): SojournError =>
  new SojournError(
    'HEADER_MISMATCH',
    `Header mismatch: ${header} is ${got === undefined ? 'missing' : quoted(got)}, ${body}`,
    {
      data: { mismatch: { header: got === undefined ? '(missing)' : shown(got), body } },
      // The message quotes values that headers mirror: arguments of tools.
      notice: `${header} is missing, or differs from the body`,
    },
  );
