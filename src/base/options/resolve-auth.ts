/** The option `auth`: its members, their checks, and what follows from several of them. */
import type { OAuthProtectedResourceMetadata } from '@modelcontextprotocol/server';
import { optionInvalid, optionsContradict } from '../errors.ts';
import { orUndefined } from '../or-undefined.ts';
import type {
  Anonymous,
  Authorize,
  AuthOptions,
  JwtOptions,
  TrustedProxyUser,
  VerifyToken,
} from './auth-options.ts';
import { checkRange } from './address-ranges.ts';
import { checkFunction, checkList, checkNames, checkNumber, checkText, got } from './checks.ts';
import { checkHeaderName } from './header-names.ts';
import { hook, type Specs, value, type Values, valuesIn } from './value-kinds.ts';

/** RFC 6749, section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
/** RFC 9728, section 3.1: the path of the resource follows. */
const WELL_KNOWN = '/.well-known/oauth-protected-resource';
/** A challenge names it. */
const CLAIM = /^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/;
/** A token is accepted so much longer than its issuer says. */
const CLOCK_TOLERANCE = { unit: 'ms', min: 0, max: 600_000 };
const JWT_NAMES = ['issuer', 'audience', 'jwksUri', 'userClaim', 'clockToleranceMs'] as const;
const ANONYMOUS = 'true, false, or a function (kind, name) that returns true or false';

type Metadata = Partial<OAuthProtectedResourceMetadata>;

const AUTH = {
  verify: hook<VerifyToken>('a function (token, request) that returns AuthInfo'),
  jwt: value<ResolvedJwt | undefined, JwtOptions>(undefined, resolveJwt),
  trustedProxyUser: value<TrustedProxyUser | undefined>(undefined, resolveProxy),
  requiredScopes: value<readonly string[]>(Object.freeze([]), (name, given) =>
    checkList(name, given, 'a list of scopes', checkScope, 0),
  ),
  metadata: value<Metadata | undefined>(undefined, (name, given) => {
    if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given;
    throw optionInvalid('type', name, given, 'an object of RFC 9728 members');
  }),
  authorize: hook<Authorize>('a function (kind, name, authInfo) that returns true or false'),
  anonymous: value<boolean | Anonymous>(false, (name, given) =>
    typeof given === 'boolean' ? given : checkFunction(name, given as Anonymous, ANONYMOUS),
  ),
} satisfies Specs<AuthOptions>;
export const AUTH_NAMES: readonly string[] = Object.keys(AUTH);

export type ResolvedAuth = ReturnType<typeof resolveAuth>;
/** Who the caller is: one of three ways. */
export type Identification = ResolvedAuth['identification'];
export type ResolvedJwt = ReturnType<typeof resolveJwt>;

export function resolveAuth(name: string, input: unknown) {
  const { metadata: given, ...checked } = valuesIn(name, input, AUTH);
  const { requiredScopes, authorize, anonymous, ...ways } = checked;
  const [way, ...others] = Object.entries(ways).flatMap(([one, is]) =>
    is === undefined ? [] : [one],
  );
  if (way === undefined || others.length > 0) {
    throw optionsContradict(
      `Option auth takes exactly one of ${Object.keys(ways).join(', ')}; ` +
        (way === undefined ? 'it has none of them' : `it has ${[way, ...others].join(' and ')}`),
    );
  }
  const identification = identify(ways);
  if (identification.by === 'proxy' && (requiredScopes.length > 0 || given !== undefined)) {
    throw optionsContradict(
      'Option auth.trustedProxyUser goes without requiredScopes and metadata: there are no tokens',
    );
  }
  if (anonymous === true && authorize !== undefined)
    throw optionsContradict(
      'Options auth.anonymous: true and auth.authorize contradict each other: authorize decides by the token, and anonymous ' +
        'callers have none; give anonymous a function that says what they may use',
    );
  const resources = resolveResources(given, ways.jwt, requiredScopes);
  return Object.freeze({
    identification,
    requiredScopes,
    /** The metadata documents, and where each is, as challenges say. The first counts where no other does. */
    resources,
    authorize,
    anonymous,
  });
}

function identify({
  verify,
  jwt,
  trustedProxyUser,
}: Pick<Values<typeof AUTH>, 'verify' | 'jwt' | 'trustedProxyUser'>) {
  if (jwt !== undefined) return { by: 'jwt', jwt } as const;
  if (trustedProxyUser !== undefined) return { by: 'proxy', ...trustedProxyUser } as const;
  return { by: 'verify', verify: verify as VerifyToken } as const;
}

function resolveProxy(name: string, input: unknown): TrustedProxyUser {
  const { header, from } = checkNames(name, input, ['header', 'from']);
  return {
    header: checkHeaderName(`${name}.header`, header),
    from: checkList(`${name}.from`, from, 'a list of CIDR ranges such as 10.0.0.0/8', checkRange),
  };
}

function resolveJwt(name: string, input: unknown) {
  const given = checkNames(name, input, JWT_NAMES) as Partial<JwtOptions>;
  const { issuer, jwksUri, userClaim = 'sub', clockToleranceMs = 60_000 } = given;
  const audience = typeof given.audience === 'string' ? [given.audience] : given.audience;
  return Object.freeze({
    issuer: checkUrl(`${name}.issuer`, issuer),
    audience: checkList(`${name}.audience`, audience, 'a string, or a list of strings', notEmpty),
    jwksUri: jwksUri === undefined ? undefined : checkUrl(`${name}.jwksUri`, jwksUri),
    userClaim: checkText(`${name}.userClaim`, userClaim, CLAIM, 'the name of a claim'),
    clockToleranceMs: checkNumber(`${name}.clockToleranceMs`, clockToleranceMs, CLOCK_TOLERANCE),
  });
}

type Document = OAuthProtectedResourceMetadata & { readonly resource: string };

/** The documents: that of `auth.metadata`, else one for each audience that is a URL. */
function resolveResources(
  input: Metadata | undefined,
  jwt: ResolvedJwt | undefined,
  scopes: readonly string[],
) {
  const [first, ...others] = input?.resource === undefined ? urlsIn(jwt) : [input.resource];
  const document = resolveMetadata(input, first, jwt, scopes);
  const all = document === undefined ? [] : [document];
  for (const resource of others)
    if (document !== undefined && isResource(resource)) all.push({ ...document, resource });
  return Object.freeze(
    all.map((one) => Object.freeze({ document: one, url: wellKnownUrl(one.resource) })),
  );
}

const urlsIn = (jwt: ResolvedJwt | undefined): readonly string[] =>
  jwt?.audience.filter(isWebUrl) ?? [];

const isResource = (url: string): boolean =>
  orUndefined(() => checkUrl('', url)) !== undefined && new URL(url).hash === '';

/** The whole document; `undefined` where nothing says which resource this is. */
function resolveMetadata(
  input: Metadata | undefined,
  resource: string | undefined,
  jwt: ResolvedJwt | undefined,
  scopes: readonly string[],
): Document | undefined {
  const given: Metadata = input ?? {};
  if (resource === undefined) {
    if (input === undefined) return undefined;
    throw optionInvalid(
      'type',
      'auth.metadata.resource',
      undefined,
      'the public URL of this endpoint',
    );
  }
  checkUrl('auth.metadata.resource', resource);
  if (new URL(resource).hash !== '')
    throw optionInvalid('range', 'auth.metadata.resource', resource, 'a URL without a fragment');
  const servers: unknown =
    given.authorization_servers ?? (jwt === undefined ? undefined : [jwt.issuer]);
  const takes = 'a list of issuer URLs, at least one';
  const checked = checkList('auth.metadata.authorization_servers', servers, takes, checkUrl);
  const [issuer = ''] = checked;
  const { hash, search } = new URL(issuer);
  if (`${search}${hash}` !== '')
    throw optionInvalid(
      'range',
      'auth.metadata.authorization_servers',
      issuer,
      'URLs without query and fragment',
    );
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

const notEmpty = (option: string, value: unknown): string =>
  checkText(option, value, /./s, 'a text that is not empty');

/** OAuth's own rule: https, or http on this machine. */
function checkUrl(option: string, value: unknown): string {
  const takes = 'an https URL, or an http URL on loopback';
  const text = notEmpty(option, value);
  if (!isWebUrl(text)) throw optionInvalid('range', option, text, takes);
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '')
    throw optionInvalid('range', option, got('a URL with credentials'), takes);
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
