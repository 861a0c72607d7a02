/**
 * Which header fields of a request another instance gets, and which fields are credentials. A credential never leaves
 * the instance that received it and is never logged.
 */
import { optionsContradict } from '../errors.ts';
import { checkText } from './checks.ts';

/** Fields that are credentials. */
export const CREDENTIAL_HEADERS: readonly string[] = Object.freeze([
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
  'x-forwarded-access-token',
]);

/** Fields that a relayed request keeps on every endpoint, beside `mcp-*`; the option `relayedHeaders` adds to them. */
export const RELAYED_HEADERS: readonly string[] = Object.freeze([
  'accept',
  'accept-language',
  'baggage',
  'content-length',
  'content-type',
  'forwarded',
  'host',
  'last-event-id',
  'origin',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-correlation-id',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id',
]);

/** The prefix of `Mcp-Session-Id`, `Mcp-Param-*` and similar names. */
const MCP_PREFIX = 'mcp-';

/** The characters of a field name (RFC 9110 section 5.6.2). */
const FIELD_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** Lower case, as header names are compared. */
export function checkHeaderName(option: string, value: unknown): string {
  return checkText(option, value, FIELD_NAME, "a header name, e.g. 'x-tenant'").toLowerCase();
}

/** A credential is none of the fields that `relayedHeaders` names. */
export function checkRelayedName(option: string, value: unknown): string {
  const name = checkHeaderName(option, value);
  if (!CREDENTIAL_HEADERS.includes(name)) return name;
  throw optionsContradict(
    `Option relayedHeaders names ${name}, which is a credential and never travels to another instance; ` +
      'take what your handlers need from authInfo.extra',
  );
}

/** A credential is the same in every request. */
export function checkAttemptName(option: string, value: unknown): string {
  const name = checkHeaderName(option, value);
  if (!CREDENTIAL_HEADERS.includes(name)) return name;
  throw optionsContradict(
    `Option ${option} names ${name}, which is a credential and the same in every request; ` +
      'take a header that your proxy sets to a new id for each, e.g. X-Request-Id',
  );
}

/** Says of a field, by its lower-case name, whether a relayed request keeps it. */
export function relayedFields(relayed: readonly string[]): (name: string) => boolean {
  const kept = new Set([...RELAYED_HEADERS, ...relayed]);
  return (name) => kept.has(name) || name.startsWith(MCP_PREFIX);
}
