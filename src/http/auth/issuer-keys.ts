/**
 * The keys of an issuer, read when they are first needed and again after ten minutes. A token with an unknown `kid`, or
 * whose signature does not fit, may mean a new key: such tokens make this instance look for the keys again, at most
 * once in 30 s, whether the look succeeds or fails. While the issuer is away, the keys that are known verify for a day.
 * Each look begins with the issuer's metadata, because the place of the keys may move. It fails by a connection, a
 * status or a text. Where there are no keys, or only ones older than ten minutes, it is repeated at most once a second.
 * So no caller can make this instance send a request per token.
 */
import { authUnavailable, type SojournError } from '../../base/errors.ts';
import type { ResolvedJwt } from '../../base/options/resolve-auth.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { within } from '../../base/system.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import type { AuthContext } from './context.ts';

type Jose = typeof import('jose');
export type Keys = ReturnType<Jose['createLocalJWKSet']>;

/** The limits of one document. Sets of keys have some KB; a long one would stall this process while it is parsed. */
const FETCH_MS = 5_000;
const DOCUMENT_BYTES = 1_048_576;
/** A token with a known key waits this long, from the start of a look on. */
const LOOK_MS = 1_000;
/** After a failed look. */
const PAUSE_MS = 1_000;
/** Between looks that tokens cause, which an attacker may have made. */
const TOKEN_PAUSE_MS = 30_000;
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

  /** The keys that are known. Rejects with AUTH_UNAVAILABLE when there are none, and they cannot be fetched. */
  async current(): Promise<Keys> {
    const look = this.#age < KEPT_MS ? undefined : this.#read();
    const away = await (look && this.#age < KEPT_WHILE_AWAY_MS ? this.#soon(look) : look);
    if (this.#keys === undefined || this.#age >= KEPT_WHILE_AWAY_MS)
      throw away ?? authUnavailable();
    return this.#keys;
  }

  /** The keys that replaced these. `undefined`: none did, so far as a look in the last 30 s could tell. */
  async newerThan(keys: Keys): Promise<Keys | undefined> {
    const mayLook = this.#look !== undefined || this.#now - this.#lookedAt >= TOKEN_PAUSE_MS;
    // After ten minutes `current` has looked, and waited as long as it may.
    if (this.#keys === keys && mayLook && this.#age < KEPT_MS) await this.#read();
    return this.#keys === keys ? undefined : this.#keys;
  }

  /** Whether the last look failed, or takes too long. */
  get away(): boolean {
    return this.#failedAt > this.#readAt || this.#age >= KEPT_MS;
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
    return leftMs > 0
      ? within(this.#context.timeProvider, leftMs, look, authUnavailable)
      : authUnavailable();
  }

  async #read(): Promise<SojournError | undefined> {
    if (this.#now - this.#failedAt < PAUSE_MS) return authUnavailable();
    const failed = (err: unknown): SojournError => {
      this.#failedAt = this.#now;
      const text =
        'The signing keys of the issuer cannot be fetched: tokens that need them get 503';
      this.#context.logger.warn({ err, issuer: this.#jwt.issuer }, text);
      return authUnavailable(err);
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

  /**
   * The `jwks_uri` of the issuer's metadata: RFC 8414 first, then OpenID Connect Discovery, with the path of the issuer
   * before its well-known name or after it. A document that cannot be used does not end the search.
   */
  async #discover(): Promise<string> {
    const { origin, pathname } = new URL(this.#jwt.issuer);
    const path = pathname.replace(/\/$/, '');
    const places = new Set([
      `${origin}/.well-known/oauth-authorization-server${path}`,
      `${origin}${path}/.well-known/openid-configuration`,
      `${origin}/.well-known/openid-configuration${path}`,
    ]);
    const faults: string[] = [];
    for (const place of places) {
      const document = await this.#document(place, true);
      const { issuer, jwks_uri: uri } = Object(document) as Readonly<Record<string, unknown>>;
      const fault =
        document === undefined ? `${place} has none` : this.#faultOf(place, issuer, uri);
      if (fault === undefined) return String(uri);
      faults.push(fault);
    }
    throw new Error(
      `the metadata of the issuer names no keys: ${faults.join('; ')}; set auth.jwt.jwksUri`,
    );
  }

  #faultOf(place: string, found: unknown, uri: unknown): string | undefined {
    const { issuer } = this.#jwt;
    if (found !== issuer)
      return `${place} is of the issuer ${String(found)}, and auth.jwt.issuer is ${issuer}`;
    if (uri === undefined) return `${place} has no jwks_uri`;
    const secure =
      typeof uri === 'string' &&
      URL.canParse(uri) &&
      new URL(uri).protocol === new URL(issuer).protocol;
    return secure ? undefined : `${place} names no jwks_uri that can be trusted`;
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
async function documentAt(
  url: string,
  signal: AbortSignal,
  mayBeMissing: boolean,
): Promise<unknown> {
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
    if (bytes > DOCUMENT_BYTES)
      throw new Error(`${url} answered with more than ${DOCUMENT_BYTES} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}
