/** Checks the option `auth` and fills it in. */
import type { OAuthProtectedResourceMetadata } from '@modelcontextprotocol/server';
import { isIP } from 'node:net';
import { optionInvalid, optionsContradict } from '../errors.ts';
import type { AuthOptions, JwtOptions, VerifyToken } from './auth-options.ts';
import { checkFunction, checkList, checkNames, checkText, got } from './checks.ts';
import { checkHeaderName } from './header-names.ts';

const WAYS = ['verify', 'jwt', 'trustedProxyUser'] as const;
export const AUTH_NAMES: readonly string[] = [...WAYS, 'requiredScopes', 'metadata', 'authorize', 'optional'];
const JWT_NAMES = ['issuer', 'audience', 'jwksUri'];
const PROXY_NAMES = ['header', 'from'];
const AUTHORIZE = 'a function (kind, name, authInfo) that returns true or false';

/** RFC 6749, section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
/** RFC 9728, section 3.1: the path of the resource follows. */
const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const OPTIONAL = 'true, false, or a function (kind, name) that returns true or false';

export type ResolvedAuth = ReturnType<typeof resolveAuth>;
/** Who the caller is: one of three ways. */
export type Identification = ReturnType<typeof identify>;
export type ResolvedJwt = ReturnType<typeof resolveJwt>;

export function resolveAuth(name: string, input: unknown) {
  const given: AuthOptions = checkNames(name, input, AUTH_NAMES);
  const ways = WAYS.filter((way) => given[way] !== undefined);
  if (ways.length !== 1) {
    throw optionsContradict(
      `Option auth takes exactly one of ${WAYS.join(', ')}; ` +
        (ways.length === 0 ? 'it has none of them' : `it has ${ways.join(' and ')}`),
    );
  }
  const identification = identify(given);
  const { requiredScopes: scopes = [] } = given;
  const requiredScopes = checkList('auth.requiredScopes', scopes, 'a list of scopes', checkScope, 0);
  if (identification.by === 'proxy' && (requiredScopes.length > 0 || given.metadata !== undefined)) {
    throw optionsContradict(
      'Option auth.trustedProxyUser goes without requiredScopes and metadata: there are no tokens',
    );
  }
  const metadata = resolveMetadata(given.metadata, identification, requiredScopes);
  return Object.freeze({
    identification,
    requiredScopes,
    metadata,
    /** Where the document is, as challenges say. */
    metadataUrl: metadata && wellKnownUrl(metadata.resource),
    authorize: given.authorize === undefined ? undefined : checkFunction('auth.authorize', given.authorize, AUTHORIZE),
    optional: resolveOptional(given),
  });
}

function resolveOptional({ optional = false, authorize }: AuthOptions) {
  if (typeof optional === 'function') return checkFunction('auth.optional', optional, OPTIONAL);
  if (typeof optional !== 'boolean') throw optionInvalid('type', 'auth.optional', optional, OPTIONAL);
  if (optional && authorize !== undefined)
    throw optionsContradict(
      'Options auth.optional: true and auth.authorize contradict each other: authorize decides by the token, and anonymous ' +
        'callers have none; give optional a function that says what they may use',
    );
  return optional;
}

function identify({ verify, jwt, trustedProxyUser }: AuthOptions) {
  if (jwt !== undefined) return { by: 'jwt', jwt: resolveJwt(jwt) } as const;
  if (trustedProxyUser !== undefined) {
    const { header, from } = checkNames('auth.trustedProxyUser', trustedProxyUser, PROXY_NAMES);
    return {
      by: 'proxy',
      header: checkHeaderName('auth.trustedProxyUser.header', header),
      from: checkList('auth.trustedProxyUser.from', from, 'a list of CIDR ranges such as 10.0.0.0/8', checkRange),
    } as const;
  }
  const takes = 'a function (token, request) that returns AuthInfo';
  return { by: 'verify', verify: checkFunction('auth.verify', verify as VerifyToken, takes) } as const;
}

function resolveJwt(input: JwtOptions) {
  const given = checkNames('auth.jwt', input, JWT_NAMES) as Partial<JwtOptions>;
  const { issuer, jwksUri } = given;
  const audience = typeof given.audience === 'string' ? [given.audience] : given.audience;
  return Object.freeze({
    issuer: checkUrl('auth.jwt.issuer', issuer),
    audience: checkList('auth.jwt.audience', audience, 'a string, or a list of strings', notEmpty),
    jwksUri: jwksUri === undefined ? undefined : checkUrl('auth.jwt.jwksUri', jwksUri),
  });
}

type Document = OAuthProtectedResourceMetadata & { readonly resource: string };

/** The whole document; `undefined` where nothing says which resource this is. */
function resolveMetadata(
  input: AuthOptions['metadata'],
  identification: Identification,
  scopes: readonly string[],
): Document | undefined {
  if (identification.by === 'proxy') return undefined;
  const jwt = identification.by === 'jwt' ? identification.jwt : undefined;
  if (input === undefined && jwt === undefined) return undefined;
  if (input !== undefined && (typeof input !== 'object' || input === null || Array.isArray(input)))
    throw optionInvalid('type', 'auth.metadata', input, 'an object of RFC 9728 members');
  const given: Partial<OAuthProtectedResourceMetadata> = input ?? {};
  const resource = given.resource ?? jwt?.audience.find(isWebUrl);
  if (resource === undefined) {
    if (input === undefined) return undefined;
    throw optionInvalid('type', 'auth.metadata.resource', undefined, 'the public URL of this endpoint');
  }
  checkUrl('auth.metadata.resource', resource);
  if (new URL(resource).hash !== '')
    throw optionInvalid('range', 'auth.metadata.resource', resource, 'a URL without a fragment');
  const servers: unknown = given.authorization_servers ?? (jwt === undefined ? undefined : [jwt.issuer]);
  const takes = 'a list of issuer URLs, at least one';
  const checked = checkList('auth.metadata.authorization_servers', servers, takes, checkUrl);
  const [issuer = ''] = checked;
  const { hash, search } = new URL(issuer);
  if (`${search}${hash}` !== '')
    throw optionInvalid('range', 'auth.metadata.authorization_servers', issuer, 'URLs without query and fragment');
  // The value that is configured, because clients ask for a token with exactly this audience.
  const document = {
    ...(scopes.length > 0 && { scopes_supported: scopes }),
    bearer_methods_supported: ['header'],
    ...given,
    resource,
    authorization_servers: checked,
  };
  return Object.freeze(JSON.parse(JSON.stringify(document)) as Document);
}

function wellKnownUrl(resource: string): string {
  const url = new URL(resource);
  const path = url.pathname.replace(/\/$/, '');
  url.pathname = `${WELL_KNOWN}${path === '/' ? '' : path}`;
  url.hash = '';
  return url.href;
}

const notEmpty = (option: string, value: unknown): string => checkText(option, value, /./s, 'a text that is not empty');

/** OAuth's own rule: https, or http on this machine. */
function checkUrl(option: string, value: unknown): string {
  const takes = 'an https URL, or an http URL on loopback';
  const text = notEmpty(option, value);
  if (!isWebUrl(text)) throw optionInvalid('range', option, text, takes);
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') throw optionInvalid('range', option, got('a URL with credentials'), takes);
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (protocol === 'http:' && !loopback) throw optionInvalid('range', option, text, takes);
  return text;
}

function isWebUrl(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol);
}

function checkScope(option: string, value: unknown): string {
  if (typeof value === 'string' && SCOPE.test(value)) return value;
  throw optionInvalid('range', option, value, 'a scope: visible ASCII without quotes and spaces');
}

function checkRange(option: string, value: unknown): string {
  const takes = 'an address, or a range such as 10.0.0.0/8 or fd00::/8';
  const text = notEmpty(option, value);
  const [address = '', bits, more] = text.split('/');
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const fits = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
  if (family === 0 || !fits || more !== undefined) throw optionInvalid('range', option, text, takes);
  return bits === undefined ? `${address}/${most}` : text;
}
