/**
 * A real authorization server (`oidc-provider`) whose only user, ada, agrees to everything at once. `approve` is her
 * browser.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { exportJWK } from 'jose';
// @ts-expect-error -- a package without types
import { Provider } from 'oidc-provider';
import { issuerKeys } from './issuer.ts';
import { listening } from './listening.ts';
import type { Approving } from './oauth-client.ts';

export const REDIRECT = 'https://client.example/callback';
/** A client id metadata document: its URL is the client id. */
export const CLIENT_DOCUMENT = 'https://client.example/metadata.json';
/** A resource server that may introspect tokens, with this secret. */
export const INTROSPECTOR = { client_id: 'mcp-server', client_secret: 'secret-of-the-server' };
export const PREREGISTERED = 'registered-before';

export interface AuthorizationServer extends Approving {
  readonly issuer: string;
  /** Its requests, as `POST /token`. */
  readonly requests: string[];
  /** Bodies of the requests for tokens, and queries of those for authorization. */
  readonly grants: URLSearchParams[];
}

export interface AuthorizationServerOptions {
  /** s that the next access token lives. */
  readonly ttl?: () => number;
  readonly refreshTokens?: boolean;
  /** Access tokens that only introspection can read. */
  readonly opaque?: boolean;
}

/** The metadata of a client. */
export const CLIENT = {
  client_name: 'test',
  redirect_uris: [REDIRECT],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
};

export async function startAuthorizationServer({
  ttl = () => 600,
  refreshTokens = true,
  opaque = false,
}: AuthorizationServerOptions = {}): Promise<AuthorizationServer> {
  const server = createServer();
  const issuer = await listening(server);
  const { privateKey } = await issuerKeys();
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'RS256', use: 'sig', kid: 'as' }] },
    clients: [
      { ...CLIENT, client_id: PREREGISTERED },
      { ...INTROSPECTOR, redirect_uris: [], grant_types: [], response_types: [] },
    ],
    scopes: ['openid', 'offline_access', 'notes', 'admin'],
    pkce: { required: () => true },
    issueRefreshToken: async () => refreshTokens,
    cookies: { keys: ['only for tests'] },
    findAccount: (_ctx: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_ctx: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    fetch: (url: string, init: RequestInit) =>
      String(url) === CLIENT_DOCUMENT
        ? Promise.resolve(Response.json({ ...CLIENT, client_id: CLIENT_DOCUMENT }))
        : fetch(url, init),
    ttl: { AccessToken: ttl, Grant: 3_600, Interaction: 600, Session: 3_600, RefreshToken: 3_600 },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      introspection: { enabled: opaque },
      clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx: unknown, resource: string) => ({
          scope: 'notes admin',
          audience: resource,
          accessTokenTTL: ttl(),
          ...(opaque
            ? { accessTokenFormat: 'opaque' }
            : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
        }),
      },
    },
  });
  const requests: string[] = [];
  const grants: URLSearchParams[] = [];
  const serve = provider.callback();
  const interact = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
    if (prompt.name === 'login') {
      const login = { login: { accountId: 'ada' } };
      return provider.interactionFinished(req, res, login, { mergeWithLastSubmission: false });
    }
    const accountId = session?.accountId ?? 'ada';
    const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
    const grant = known ?? new provider.Grant({ accountId, clientId: params.client_id });
    const { missingOIDCScope = [], missingResourceScopes = {} } = prompt.details;
    if (missingOIDCScope.length > 0) grant.addOIDCScope(missingOIDCScope.join(' '));
    for (const [resource, scopes] of Object.entries<string[]>(missingResourceScopes))
      grant.addResourceScope(resource, scopes.join(' '));
    const consent = { consent: { grantId: await grant.save() } };
    return provider.interactionFinished(req, res, consent, { mergeWithLastSubmission: true });
  };
  server.on('request', (req, res) => {
    requests.push(`${req.method} ${req.url?.split('?', 1)[0]}`);
    if (req.url?.startsWith('/interaction/')) {
      interact(req, res).catch((error: unknown) => {
        res.statusCode = 500;
        res.end(String(error));
      });
      return;
    }
    if (req.url?.startsWith('/auth?')) grants.push(new URLSearchParams(req.url.split('?')[1]));
    if (req.url === '/token') {
      let body = '';
      req.on('data', (chunk: Buffer) => (body += chunk.toString()));
      req.on('end', () => grants.push(new URLSearchParams(body)));
    }
    serve(req, res);
  });
  return {
    issuer,
    requests,
    grants,
    approve: async (url) => {
      const cookies = new Map<string, string>();
      let at = url;
      for (let hops = 0; hops < 10; hops++) {
        const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
        const response = await fetch(at, { redirect: 'manual', headers: { cookie } });
        for (const one of response.headers.getSetCookie()) {
          const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(one) ?? [];
          cookies.set(name, value);
        }
        const location = response.headers.get('location');
        if (location === null)
          throw new Error(
            `no redirect from ${at.href}: ${response.status} ${await response.text()}`,
          );
        at = new URL(location, at);
        if (at.href.startsWith(REDIRECT)) return at.searchParams;
      }
      throw new Error('too many redirects');
    },
  };
}
