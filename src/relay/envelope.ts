/**
 * A call between the instance with the client and the session's owner, and its answer. Everything is plain JSON.
 *
 *     relay ─▶ owner       { t: 'call', n, … }, { t: 'gone', n }: the client disconnected
 *     owner ─▶ relay       { t: 'answer' } whole, or { t: 'stream' } { t: 'write' }… and { t: 'end' } or { t: 'cut' };
 *                          { t: 'refused', n }: the owner has not run the call and will not run it
 *
 * An allow-list decides which header fields are sent (`options/header-names.ts`), so that no credential leaves the
 * instance that received it. `authInfo` is sent without its token, because handlers may read it.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { LinkItem } from '../cluster/link.ts';
import { JSON_HEADERS } from '../http/answer.ts';
import type { Exchange, HeaderFields, HeaderList } from '../http/exchange.ts';
import { SSE_HEADERS } from '../http/sse.ts';
import type { CallKind } from './call.ts';

export interface CallEnvelope extends LinkItem {
  readonly t: 'call';
  /** The relaying instance's number for the call on this link. */
  readonly n: number;
  readonly call: CallKind;
  /** The call may have run: its earlier owner crashed, or the relaying instance stopped waiting for it. */
  readonly again: boolean;
  readonly method: string;
  readonly url: string;
  readonly absoluteUrl: string;
  readonly headers: HeaderFields;
  readonly auth?: AuthInfo;
  readonly user?: string;
  /** The text of the body. */
  readonly text?: string;
}

/** Headers that every stream or every JSON answer has are named instead of listed. */
export type SentHeaders = 'sse' | 'json' | HeaderList;

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
): CallEnvelope {
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
export function authOf({ auth }: CallEnvelope): AuthInfo | undefined {
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
