/**
 * One POST to a callback: signed as Standard Webhooks ask, to an address that was checked in the same look-up that the
 * connection uses. So no name can change its address in between. Redirects are not followed.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { lookup, type LookupAddress } from 'node:dns';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { PostFailure } from '../../base/observe/step-notices.ts';
import type { TimeProvider } from '../../base/types.ts';
import { isPublic } from './public-address.ts';
import { type WebhookMessage, webhookHeaders } from './event-wire.ts';

const TIMEOUT_MS = 5_000;
const ANSWER_BYTES = 8_192;
const SECRET = /^whsec_([A-Za-z0-9+/]{32,88}={0,2})$/;
/** Connections to one callback host. */
const SOCKETS = 16;
const TLS_ERROR = /^(?:ERR_TLS|ERR_SSL|CERT|DEPTH|UNABLE|SELF_SIGNED|EPROTO)/;

export type Posted =
  | { readonly ok: true; readonly body: string }
  | { readonly ok: false; readonly why: PostFailure; readonly status?: number };

export interface PostRequest {
  readonly url: URL;
  readonly message: WebhookMessage;
  readonly secrets: readonly string[];
  /** ms since 1970. Each try has its own time and signatures. */
  readonly now: number;
  /** The address may be private. */
  readonly isTrusted: boolean;
}

/** Never rejects. */
export type Post = (request: PostRequest) => Promise<Posted>;

/** `undefined`: it is none of 24 to 64 bytes. */
export function secretBytes(secret: unknown): Buffer | undefined {
  const text = typeof secret === 'string' ? SECRET.exec(secret)?.[1] : undefined;
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length >= 24 && bytes.length <= 64 ? bytes : undefined;
}

type TimerFunctions = Pick<Required<TimeProvider>, 'setTimeout' | 'clearTimeout'>;

type Lookup = (
  name: string,
  options: { readonly all: true },
  callback: (error: Error | null, found: LookupAddress[]) => void,
) => void;

/** The connection goes to an address that was checked here. */
export const guardedLookup =
  (look: Lookup): LookupFunction =>
  (name, options, callback) =>
    look(name, { ...options, all: true }, (error, found) => {
      const usable = error ? [] : found.filter(({ address }) => isPublic(address));
      const [first] = usable;
      const none = Object.assign(new Error('no public address'), { code: 'EACCES' });
      if (first === undefined) return callback(error ?? none, '', 0);
      if (options.all === true) return callback(null, usable);
      callback(null, first.address, first.family);
    });

const agentOf = { keepAlive: true, maxSockets: SOCKETS, maxFreeSockets: 256, timeout: 30_000 };

/** `look`: asks the name server. */
export function createPost(time: TimerFunctions, look: Lookup = lookup): Post {
  const guarded = guardedLookup(look);
  // A connection that was opened for a trusted callback serves no other one.
  const agents = {
    checked: new HttpsAgent(agentOf),
    trusted: new HttpsAgent(agentOf),
    plain: new HttpAgent(agentOf),
  };
  return ({ url, message, secrets, now, isTrusted }) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const isSecure = url.protocol === 'https:';
    if (!isTrusted && (!isSecure || (isIP(host) !== 0 && !isPublic(host))))
      return Promise.resolve({ ok: false, why: 'connection_refused' });
    const sign = (text: string) =>
      secrets.map((secret) =>
        createHmac('sha256', secretBytes(secret) ?? '')
          .update(text)
          .digest('base64'),
      );
    const agent = !isSecure ? agents.plain : isTrusted ? agents.trusted : agents.checked;
    const aborted = new AbortController();
    const timer = time.setTimeout(() => aborted.abort(), TIMEOUT_MS);
    return new Promise<Posted>((resolve) => {
      const request = (isSecure ? httpsRequest : httpRequest)(url, {
        method: 'POST',
        agent,
        headers: webhookHeaders(message, now, sign),
        signal: aborted.signal,
        ...(!isTrusted && { lookup: guarded }),
      });
      request.on('error', (error) => resolve({ ok: false, why: failureOf(error) }));
      request.on('response', (response) => {
        const { statusCode: status = 0 } = response;
        const parts: Buffer[] = [];
        let bytes = 0;
        response.on('data', (part: Buffer) => {
          bytes += part.length;
          if (bytes <= ANSWER_BYTES) parts.push(part);
          else response.destroy();
        });
        // 'close' reports the end.
        response.on('error', () => {});
        response.on('close', () => {
          const isOk = status >= 200 && status < 300;
          if (isOk) resolve({ ok: true, body: Buffer.concat(parts).toString() });
          else resolve({ ok: false, why: status >= 500 ? 'http_5xx' : 'http_4xx', status });
        });
      });
      request.end(message.body);
    }).finally(() => time.clearTimeout(timer));
  };
}

function failureOf({ name, code = '' }: NodeJS.ErrnoException): PostFailure {
  if (name === 'AbortError') return 'timeout';
  return TLS_ERROR.test(code) ? 'tls_error' : 'connection_refused';
}

/** Whether the answer to a challenge is right. It takes equally long for every wrong one of its length. */
export function answersChallenge(body: string, challenge: string): boolean {
  try {
    const given = Buffer.from(String((JSON.parse(body) as { challenge?: unknown }).challenge));
    const right = Buffer.from(challenge);
    return given.length === right.length && timingSafeEqual(given, right);
  } catch {
    return false;
  }
}
