/**
 * A call for another instance, and parts of its answer, in the form of `cluster/messages.ts`.
 *
 * An allow-list decides which header fields are sent (`options/header-names.ts`), so that no credential leaves the
 * instance that received it. `authInfo` is sent without its token, because handlers may read it.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { CallItem, CallKind, SentHeaders } from '../cluster/messages.ts';
import { JSON_HEADERS } from '../http/answer.ts';
import type { Exchange, HeaderList } from '../http/exchange.ts';
import { SSE_HEADERS } from '../http/response.ts';

/** `AuthInfo` requires a token. Handlers on the owner read an empty one. */
const NO_TOKEN = '';

export interface EnvelopeFields {
  readonly n: number;
  readonly call: CallKind;
  readonly again: boolean;
  readonly text: string | undefined;
}

/** `isRelayed`: whether the owner gets the field with that lower-case name. */
export function envelopeOf(
  exchange: Exchange,
  isRelayed: (field: string) => boolean,
  { text, ...fields }: EnvelopeFields,
): CallItem {
  const headers: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(exchange.headerFields())) {
    if (value !== undefined && isRelayed(name)) headers[name] = value;
  }
  const { authInfo, user } = exchange;
  return {
    t: 'call',
    ...fields,
    method: exchange.method,
    url: exchange.url,
    absoluteUrl: exchange.absoluteUrl(),
    headers,
    ...(authInfo !== undefined && { auth: { ...authInfo, token: NO_TOKEN } }),
    ...(user !== undefined && { user }),
    ...(text !== undefined && { text }),
  };
}

/** `authInfo` as its verifier returned it: JSON turned its URL into a string. */
export function authOf({ auth }: CallItem): AuthInfo | undefined {
  if (auth === undefined) return undefined;
  const resource = auth.resource as URL | string | undefined;
  return typeof resource === 'string' ? { ...auth, resource: new URL(resource) } : auth;
}

export function sendHeaders(headers: HeaderList): SentHeaders {
  if (headers === SSE_HEADERS) return 'sse';
  return headers === JSON_HEADERS ? 'json' : headers;
}

export function readHeaders(sent: SentHeaders): HeaderList {
  if (sent === 'sse') return SSE_HEADERS;
  return sent === 'json' ? JSON_HEADERS : sent;
}
