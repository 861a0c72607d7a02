/**
 * The whole flow of authorization, by the official clients of both lines, against a real authorization server: from the
 * challenge of a refused request over the metadata to a token, its refresh, and a step-up to more scopes.
 */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { McpServer, requireScopes } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import * as oauth from 'oauth4webapi';
import { createMcpEndpoint, type AuthOptions, type TimeProvider } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import {
  CLIENT_DOCUMENT,
  INTROSPECTOR,
  PREREGISTERED,
  startAuthorizationServer,
  type AuthorizationServer,
} from '../kit/authorization-server.ts';
import { startCli } from '../cli/cli-process.ts';
import { freePort } from '../kit/free-port.ts';
import { bearer } from '../kit/issuer.ts';
import { listening, openClient } from '../kit/listening.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { said } from '../kit/tool-server.ts';
import { type Looked, SCRIPTED } from '../stdio/serving.ts';
import { type Connect, connectV1, connectV2 } from '../kit/oauth-client.ts';

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

test.each(CLIENTS)(
  '%s: two programs of a file, each signed in to with one authorization server',
  async (_name, connect) => {
    const as = await startAuthorizationServer();
    const port = await freePort();
    const names = ['git', 'notes'] as const;
    const urls = names.map((name) => `http://127.0.0.1:${port}/${name}/mcp`);
    const file = join(temporaryFolder(), 'servers.json');
    const entryOf = (name: string) => ({
      command: process.execPath,
      args: [SCRIPTED],
      env: { KEY: name },
    });
    const mcpServers = Object.fromEntries(names.map((name) => [name, entryOf(name)]));
    writeFileSync(file, JSON.stringify({ mcpServers }));
    const jwt = ['--auth-jwt-issuer', as.issuer, '--auth-jwt-audience', urls.join(',')];
    const store = ['--store', `sqlite:${join(temporaryFolder(), 's.db')}`];
    const flags = ['--auth-required-scopes', 'notes', '--port', String(port), ...store];
    await startCli(['stdio', file, ...jwt, ...flags]).url();
    const tokens: string[] = [];
    for (const [n, url] of urls.entries()) {
      const { call, kept } = await connect(url, as, { document: true });
      expect((JSON.parse(await call('look')) as Looked).env['KEY']).toBe(names[n]);
      tokens.push(kept.get('tokens').access_token as string);
    }
    const [git = '', notes = ''] = urls;
    const opened = openClient(git, bearer(tokens[0] ?? ''));
    await opened.initialize();
    expect((await opened.call('ping')).response.status).toBe(200);
    // The token of the other program, and the session of the other program with the right token.
    expect((await openClient(notes, bearer(tokens[0] ?? '')).initialize()).response.status).toBe(
      401,
    );
    const { sessionId } = opened;
    const other = openClient(notes, bearer(tokens[1] ?? ''));
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    expect((await other.post(ping, { sessionId })).status).toBe(404);
    expect((await other.get({ sessionId })).status).toBe(404);
    expect((await other.delete({ sessionId })).status).toBe(404);
    expect((await opened.call('ping')).response.status).toBe(200);
  },
);

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
