/**
 * The whole flow of authorization, by the official clients of both lines, against a real authorization server: from the
 * challenge of a refused request over the metadata to a token, its refresh, and a step-up to more scopes.
 */
import { createServer } from 'node:http';
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
  UnauthorizedError as UnauthorizedV2,
} from '@modelcontextprotocol/client';
import { UnauthorizedError as UnauthorizedV1 } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer, requireScopes } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import * as oauth from 'oauth4webapi';
import { createMcpEndpoint, type AuthOptions, type TimeProvider } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import {
  CLIENT,
  CLIENT_DOCUMENT,
  INTROSPECTOR,
  PREREGISTERED,
  REDIRECT,
  startAuthorizationServer,
  type AuthorizationServer,
} from '../kit/authorization-server.ts';
import { said } from '../kit/tool-server.ts';
import { listening } from '../kit/listening.ts';

/** A resource server: `notes` is needed for every request, `admin` for the tool of that name. */
async function startResource(
  { issuer }: AuthorizationServer,
  {
    verify,
    timeProvider,
  }: { verify?: NonNullable<AuthOptions['verify']>; timeProvider?: TimeProvider } = {},
): Promise<string> {
  const server = createServer();
  const url: string = `${await listening(server, () => endpoint.close({ timeoutMs: 0 }))}/mcp`;
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const mcp = new McpServer({ name: 'notes', version: '1' }, { ...ctx.serverOptions });
      mcp.registerTool('whoami', {}, ({ http }) => said(http?.authInfo?.extra?.['sub']));
      mcp.registerTool('admin', { scopeChallenge: requireScopes('admin') }, () => said('done'));
      return mcp;
    },
    {
      ...(timeProvider && { timeProvider }),
      auth: {
        ...(verify === undefined ? { jwt: { issuer, audience: url } } : { verify }),
        metadata: { resource: url, authorization_servers: [issuer] },
        requiredScopes: ['notes'],
      },
    },
  );
  server.on('request', (req, res) =>
    endpoint.wellKnown.node(req, res, () => endpoint.node(req, res)),
  );
  return url;
}

interface Registration {
  /** Offered, and used where the authorization server takes it. */
  readonly document?: boolean;
  /** Registered by hand before. */
  readonly clientId?: string;
}

/** What a client remembers; the same shape for both lines. */
function createProvider({ document = false, clientId }: Registration) {
  const kept = new Map<string, any>();
  if (clientId !== undefined) kept.set('client', { client_id: clientId });
  const provider = {
    redirectUrl: REDIRECT,
    ...(document && { clientMetadataUrl: CLIENT_DOCUMENT }),
    clientMetadata: CLIENT,
    state: () => 'state-of-the-client',
    clientInformation: () => kept.get('client'),
    saveClientInformation: (info: unknown) => void kept.set('client', info),
    tokens: () => kept.get('tokens'),
    saveTokens: (tokens: unknown) => void kept.set('tokens', tokens),
    redirectToAuthorization: (url: URL) => void kept.set('url', url),
    saveCodeVerifier: (verifier: string) => void kept.set('verifier', verifier),
    codeVerifier: () => kept.get('verifier'),
    saveDiscoveryState: (state: unknown) => void kept.set('discovery', state),
    discoveryState: () => kept.get('discovery'),
  };
  return { kept, provider };
}

interface Connected {
  readonly kept: Map<string, any>;
  call(tool: string): Promise<string>;
}

/** Connects; whenever the client needs its user, she approves. */
type Connect = (
  url: string,
  as: AuthorizationServer,
  registration: Registration,
) => Promise<Connected>;

const textOf = (result: unknown): string =>
  (result as { content: Array<{ text: string }> }).content[0]?.text ?? '';

/** One line of the SDK. */
interface Line<Transport> {
  transport(url: URL, authProvider: ReturnType<typeof createProvider>['provider']): Transport;
  client(): {
    connect(transport: Transport): Promise<void>;
    callTool(call: { name: string; arguments: {} }): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Unauthorized: new () => Error;
  /** `redirected`: the parameters of the redirect to the client. */
  finish(transport: Transport, redirected: URLSearchParams): Promise<void>;
}

function connecting<Transport>({
  transport,
  client,
  Unauthorized,
  finish,
}: Line<Transport>): Connect {
  return async (url, as, registration) => {
    const { kept, provider } = createProvider(registration);
    let way = transport(new URL(url), provider);
    const approved = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Unauthorized)) throw error;
        await finish(way, await as.approve(kept.get('url')));
        return undefined;
      }
    };
    await approved(() => client().connect(way));
    way = transport(new URL(url), provider);
    const connected = client();
    await connected.connect(way);
    onTestFinished(() => connected.close());
    const call = (tool: string) => connected.callTool({ name: tool, arguments: {} });
    return {
      kept,
      call: async (tool) => textOf((await approved(() => call(tool))) ?? (await call(tool))),
    };
  };
}

const connectV1 = connecting<HttpV1>({
  transport: (url, authProvider) => new HttpV1(url, { authProvider }),
  client: () => new ClientV1({ name: 'v1', version: '1' }),
  Unauthorized: UnauthorizedV1,
  finish: (way, redirected) => way.finishAuth(redirected.get('code') ?? ''),
});

const connectV2 = (mode: 'legacy' | 'auto'): Connect =>
  connecting<HttpV2>({
    transport: (url, authProvider) => new HttpV2(url, { authProvider }),
    client: () => new ClientV2({ name: 'v2', version: '1' }, { versionNegotiation: { mode } }),
    Unauthorized: UnauthorizedV2,
    finish: (way, redirected) => way.finishAuth(redirected),
  });

const CLIENTS: ReadonlyArray<readonly [name: string, connect: Connect]> = [
  ['v1', connectV1],
  ['v2, sessions', connectV2('legacy')],
  ['v2, 2026-07-28', connectV2('auto')],
];

describe.each(CLIENTS)('%s', (_name, connect) => {
  test('identifies itself by its metadata document, with PKCE and the resource', async () => {
    const as = await startAuthorizationServer();
    const url = await startResource(as);
    const { call, kept } = await connect(url, as, { document: true });
    expect(await call('whoami')).toBe('ada');
    expect(kept.get('client')).toMatchObject({ client_id: CLIENT_DOCUMENT });
    expect(as.requests).not.toContain('POST /reg');
    const [asked, exchanged] = as.grants;
    expect(Object.fromEntries(asked ?? [])).toMatchObject({
      client_id: CLIENT_DOCUMENT,
      code_challenge_method: 'S256',
      resource: url,
    });
    expect(exchanged?.get('code_verifier')).toHaveLength(43);
    expect(exchanged?.get('resource')).toBe(url);
  });

  test('refreshes an expired token', async () => {
    let ttl = 1;
    const as = await startAuthorizationServer({ ttl: () => ttl });
    const time = createFakeTime(Date.now());
    const url = await startResource(as, { timeProvider: time });
    const { call, kept } = await connect(url, as, { clientId: PREREGISTERED });
    expect(await call('whoami')).toBe('ada');
    const { exp } = JSON.parse(
      Buffer.from(kept.get('tokens').access_token.split('.')[1], 'base64url').toString(),
    ) as {
      exp: number;
    };
    ttl = 600;
    // The clocks of both servers may differ by 60 s.
    await time.advance((exp + 60) * 1_000 + 1 - time.now());
    expect(await call('whoami')).toBe('ada');
    expect(as.grants.some((grant) => grant.get('grant_type') === 'refresh_token')).toBe(true);
    expect(as.grants.filter((grant) => grant.has('code_challenge'))).toHaveLength(1);
  });

  test('asks its user for the scope that a tool needs', async () => {
    const as = await startAuthorizationServer({ refreshTokens: false });
    const { call } = await connect(await startResource(as), as, { clientId: PREREGISTERED });
    // Some clients also ask for `offline_access`.
    expect(as.grants[0]?.get('scope')?.split(' ')).not.toContain('admin');
    expect(await call('admin')).toBe('done');
    const scopes = as.grants
      .filter((grant) => grant.has('code_challenge'))
      .map((grant) => grant.get('scope'));
    expect(scopes).toHaveLength(2);
    expect(scopes[1]?.split(' ')).toEqual(expect.arrayContaining(['admin', 'notes']));
  });
});

test('opaque tokens are introspected, as the guide shows', async () => {
  const server = await startAuthorizationServer({ opaque: true });
  const as: oauth.AuthorizationServer = {
    issuer: server.issuer,
    introspection_endpoint: `${server.issuer}/token/introspection`,
  };
  const client: oauth.Client = { client_id: INTROSPECTOR.client_id };
  const credentials = oauth.ClientSecretBasic(INTROSPECTOR.client_secret);
  const insecure = { [oauth.allowInsecureRequests]: true };
  const verify: NonNullable<AuthOptions['verify']> = async (token) => {
    const response = await oauth.introspectionRequest(as, client, credentials, token, insecure);
    const found = await oauth.processIntrospectionResponse(as, client, response);
    if (!found.active || found.exp === undefined || found.sub === undefined) return undefined;
    return {
      token,
      clientId: found.client_id ?? '',
      scopes: found.scope?.split(' ') ?? [],
      expiresAt: found.exp,
      extra: { iss: as.issuer, sub: found.sub },
    };
  };
  const url = await startResource(server, { verify });
  const { call, kept } = await connectV2('auto')(url, server, { clientId: PREREGISTERED });
  expect(kept.get('tokens').access_token).not.toContain('.');
  expect(await call('whoami')).toBe('ada');
  expect(server.requests).toContain('POST /token/introspection');
  const refused = await fetch(url, {
    method: 'POST',
    headers: { authorization: 'Bearer unknown' },
  });
  expect(refused.status).toBe(401);
});
