/**
 * The keys of an issuer, read when they are first needed and again after ten minutes. A token with an unknown `kid` may
 * mean a new key, so it makes this instance read them again, at most once in 30 s. While the issuer is away, the keys
 * that are known verify for a day. Each look begins with the issuer's metadata, because the place of the keys may move.
 * It fails by a connection, a status or a text, and is repeated at most once a second. So no caller can make
 * this instance send a request per token.
 */
import type { JWTVerifyGetKey } from 'jose';
import { authAway, type SojournError } from '../errors.ts';
import type { ResolvedJwt } from '../options/resolve-auth.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { within } from '../base/system.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import type { AuthContext } from './context.ts';

type Jose = typeof import('jose');
type Keys = ReturnType<Jose['createLocalJWKSet']>;

/** The limits of one document. Sets of keys have some KB; a long one would stall this process while it is parsed. */
const FETCH_MS = 5_000;
const DOCUMENT_BYTES = 1_048_576;
/** A token with a known key waits this long, from the start of a look on. */
const LOOK_MS = 1_000;
/** After a failed look. */
const PAUSE_MS = 1_000;
/** An attacker's `kid` that is unknown. */
const UNKNOWN_KEY_PAUSE_MS = 30_000;
const KEPT_MS = 600_000;
/** A key that the issuer withdrew would otherwise be kept by cutting the way to it. */
const KEPT_WHILE_AWAY_MS = 86_400_000;

let jose: Promise<Jose> | undefined;

/** Loaded only with the option `auth.jwt`. */
export function loadJose(): Promise<Jose> {
  return (jose ??= import('jose'));
}

export class IssuerKeys {
  readonly #jwt: ResolvedJwt;
  readonly #context: AuthContext;
  #keys: Keys | undefined = undefined;
  #readAt = -Infinity;
  #failedAt = -Infinity;
  #lookedAt = -Infinity;
  /** The look that is under way, and why it failed. */
  #look: Promise<SojournError | undefined> | undefined = undefined;

  constructor(jwt: ResolvedJwt, context: AuthContext) {
    this.#jwt = jwt;
    this.#context = context;
  }

  /** Rejects with AUTH_AWAY when the keys cannot be fetched. */
  async keyOf(...token: Parameters<JWTVerifyGetKey>): Promise<Awaited<ReturnType<Keys>>> {
    const look = this.#age < KEPT_MS ? undefined : this.#read();
    const away = await (look && this.#age < KEPT_WHILE_AWAY_MS ? this.#soon(look) : look);
    if (this.#keys === undefined || this.#age >= KEPT_WHILE_AWAY_MS) throw away ?? authAway();
    try {
      return await this.#keys(...token);
    } catch (cause) {
      const isUnknown = (cause as { readonly code?: unknown }).code === 'ERR_JWKS_NO_MATCHING_KEY';
      if (!isUnknown || this.#age < UNKNOWN_KEY_PAUSE_MS) throw cause;
      const failure = away ?? (await this.#read());
      if (failure !== undefined) throw failure;
      return this.#keys(...token);
    }
  }

  get #age(): number {
    return this.#now - this.#readAt;
  }

  get #now(): number {
    return this.#context.timeProvider.monotonic();
  }

  /** An issuer that does not answer holds tokens with known keys for the first moment of a look. */
  async #soon(look: Promise<SojournError | undefined>): Promise<SojournError | undefined> {
    const leftMs = this.#lookedAt + LOOK_MS - this.#now;
    return leftMs > 0 ? within(this.#context.timeProvider, leftMs, look, authAway) : authAway();
  }

  async #read(): Promise<SojournError | undefined> {
    if (this.#now - this.#failedAt < PAUSE_MS) return authAway();
    const failed = (err: unknown): SojournError => {
      this.#failedAt = this.#now;
      const text = 'The signing keys of the issuer cannot be fetched: tokens that need them get 503';
      this.#context.logger.warn({ err, issuer: this.#jwt.issuer }, text);
      return authAway(err);
    };
    return (this.#look ??= this.#find()
      .catch(failed)
      .finally(() => (this.#look = undefined)));
  }

  async #find(): Promise<undefined> {
    this.#lookedAt = this.#now;
    const { createLocalJWKSet } = await loadJose();
    const url = this.#jwt.jwksUri ?? (await this.#discover());
    const document = await this.#document(url);
    const keys = isObject(document) ? document['keys'] : undefined;
    if (!Array.isArray(keys) || !keys.every(isObject)) throw new Error(`${url} is no set of keys`);
    this.#keys = createLocalJWKSet({ keys });
    this.#readAt = this.#now;
  }

  /** The `jwks_uri` of the issuer's metadata: RFC 8414 first, then OpenID Connect Discovery. */
  async #discover(): Promise<string> {
    const { issuer } = this.#jwt;
    const { origin, pathname } = new URL(issuer);
    const path = pathname.replace(/\/$/, '');
    const places = [
      `${origin}/.well-known/oauth-authorization-server${path}`,
      `${origin}${path}/.well-known/openid-configuration`,
    ];
    for (const place of places) {
      const document = await this.#document(place, true);
      if (document === undefined) continue;
      const { issuer: found, jwks_uri: uri } = Object(document) as Readonly<Record<string, unknown>>;
      const other = `${place} is of the issuer ${String(found)}, and auth.jwt.issuer is ${issuer}`;
      if (found !== issuer) throw new Error(other);
      const secure = typeof uri === 'string' && URL.canParse(uri) && new URL(uri).protocol === new URL(issuer).protocol;
      if (!secure) throw new Error(`${place} names no jwks_uri that can be trusted; set auth.jwt.jwksUri`);
      return uri;
    }
    throw new Error(`the issuer ${issuer} has no metadata at ${places.join(' or ')}; set auth.jwt.jwksUri`);
  }

  async #document(url: string, mayBeMissing = false): Promise<unknown> {
    const controller = new AbortController();
    const document = documentAt(url, controller.signal, mayBeMissing);
    return within(this.#context.timeProvider, FETCH_MS, document, (): never => {
      controller.abort();
      throw new Error(`${url} did not answer within ${FETCH_MS} ms`);
    });
  }
}

/** `undefined`: there is none, where it `mayBeMissing`. Some servers answer every path with a page. */
async function documentAt(url: string, signal: AbortSignal, mayBeMissing: boolean): Promise<unknown> {
  const headers = { accept: 'application/json, application/jwk-set+json' };
  const response = await fetch(url, { headers, redirect: 'manual', signal });
  if (response.status === 200) {
    const text = await textOf(url, response);
    const parse = (): unknown => JSON.parse(text) as unknown;
    return mayBeMissing ? orUndefined(parse) : parse();
  }
  await response.body?.cancel();
  if (mayBeMissing && response.status < 500) return undefined;
  throw new Error(`${url} answered with ${response.status}`);
}

async function textOf(url: string, { body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > DOCUMENT_BYTES) throw new Error(`${url} answered with more than ${DOCUMENT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}
