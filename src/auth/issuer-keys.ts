/**
 * The keys of an issuer, fetched when they are first needed and kept by `jose` for ten minutes. A token with an unknown
 * `kid` may mean a new key, so it makes `jose` fetch them again, at most once in 30 s. A fetch fails by its connection,
 * its status, its size or its text, and is repeated at most once a second. So no caller can make this instance send a
 * request per token.
 */
import type { FlattenedJWSInput, JWSHeaderParameters, JWTVerifyGetKey } from 'jose';
import { authAway, SojournError } from '../errors.ts';
import type { ResolvedJwt } from '../options/resolve-auth.ts';
import { within } from '../base/system.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import type { AuthContext } from './context.ts';

type Jose = typeof import('jose');
type Keys = ReturnType<JWTVerifyGetKey>;

const FETCH_MS = 5_000;
/** After a failed fetch. */
const PAUSE_MS = 1_000;
/** The limit of a document of the issuer. Large issuers publish some 10 KB of keys. */
const MOST_BYTES = 262_144;
/** Each token without a known `kid` is compared with every key. */
const MOST_KEYS = 256;
/** An attacker's `kid` that is unknown. */
const UNKNOWN_KEY_PAUSE_MS = 30_000;
const KEPT_MS = 600_000;
/** Say nothing about the issuer: no such key, or several that a token without `kid` may mean. */
const OF_THE_TOKEN: ReadonlySet<unknown> = new Set([
  'ERR_JWKS_NO_MATCHING_KEY',
  'ERR_JWKS_MULTIPLE_MATCHING_KEYS',
  'ERR_JOSE_NOT_SUPPORTED',
]);

let jose: Promise<Jose> | undefined;

/** Loaded only with the option `auth.jwt`. */
export function loadJose(): Promise<Jose> {
  return (jose ??= import('jose'));
}

export class IssuerKeys {
  readonly #jwt: ResolvedJwt;
  readonly #context: AuthContext;
  /** Until a look for them has failed. */
  #keys: Promise<JWTVerifyGetKey> | undefined = undefined;
  #failedAt = -Infinity;

  constructor(jwt: ResolvedJwt, context: AuthContext) {
    this.#jwt = jwt;
    this.#context = context;
  }

  /** Rejects with AUTH_AWAY when the keys cannot be fetched. */
  async keyOf(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<Awaited<Keys>> {
    try {
      this.#keys ??= this.#find().catch((cause: unknown) => {
        this.#keys = undefined;
        throw cause;
      });
      const keys = await this.#keys;
      return await keys(header as never, token);
    } catch (cause) {
      if (cause instanceof SojournError) throw cause;
      if (OF_THE_TOKEN.has((cause as { readonly code?: unknown }).code)) throw cause;
      this.#failedAt = this.#context.timeProvider.monotonic();
      this.#context.logger.warn(
        { err: cause, issuer: this.#jwt.issuer },
        'The signing keys of the issuer cannot be fetched: tokens that need them get 503',
      );
      throw authAway(cause);
    }
  }

  async #find(): Promise<JWTVerifyGetKey> {
    const { createRemoteJWKSet, customFetch } = await loadJose();
    const uri = this.#jwt.jwksUri ?? (await this.#discover());
    const options = {
      timeoutDuration: FETCH_MS,
      cooldownDuration: UNKNOWN_KEY_PAUSE_MS,
      cacheMaxAge: KEPT_MS,
      [customFetch]: (url: string, init: RequestInit) => this.#fetchKeys(url, init),
    };
    return createRemoteJWKSet(new URL(uri), options);
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
      const controller = new AbortController();
      const answer = this.#document(place, { redirect: 'manual', signal: controller.signal }, true);
      const document = await within(this.#context.timeProvider, FETCH_MS, answer, (): never => {
        controller.abort();
        throw new Error(`${place} did not answer within ${FETCH_MS} ms`);
      });
      if (document === undefined) continue;
      if (!isObject(document) || document['issuer'] !== issuer)
        throw new Error(`${place} is not the metadata of the issuer ${issuer}`);
      const uri = document['jwks_uri'];
      const secure = typeof uri === 'string' && URL.canParse(uri) && new URL(uri).protocol === new URL(issuer).protocol;
      if (!secure) throw new Error(`${place} names no jwks_uri that can be trusted; set auth.jwt.jwksUri`);
      return uri;
    }
    throw new Error(`the issuer ${issuer} has no metadata at ${places.join(' or ')}; set auth.jwt.jwksUri`);
  }

  /** For `jose`, which reads the answer as JSON. */
  async #fetchKeys(url: string, init: RequestInit): Promise<Response> {
    const document = await this.#document(url, init);
    const keys = isObject(document) ? document['keys'] : undefined;
    if (!Array.isArray(keys) || !keys.every(isObject)) throw new Error(`${url} is no set of keys`);
    if (keys.length > MOST_KEYS) throw new Error(`${url} has ${keys.length} keys; at most ${MOST_KEYS} are taken`);
    return Response.json(document);
  }

  /** `undefined`: there is none, where it `mayBeMissing`. */
  async #document(url: string, init: RequestInit, mayBeMissing = false): Promise<unknown> {
    if (this.#context.timeProvider.monotonic() - this.#failedAt < PAUSE_MS) throw authAway();
    const response = await fetch(url, init);
    if (response.status === 200) return JSON.parse(await textOf(response, url)) as unknown;
    await response.body?.cancel();
    if (mayBeMissing && response.status < 500) return undefined;
    throw new Error(`${url} answered with ${response.status}`);
  }
}

/** The body, at most `MOST_BYTES` of it. The signal of the fetch bounds its time. */
async function textOf(response: Response, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const body: AsyncIterable<Uint8Array> | readonly never[] = response.body ?? [];
  // Leaving the loop cancels the rest.
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error(`${url} has more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
