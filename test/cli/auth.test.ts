/**
 * `sojourn serve` with `--auth-…`: a child process that asks for tokens, and the warning of a process that does not.
 */
import { describe, expect, test } from 'vitest';
import { banner } from '../../src/cli/banner.ts';
import { type GivenFlags, mergeOptions, readSettings } from '../../src/cli/settings.ts';
import { resolveOptions } from '../../src/options/resolve.ts';
import { bearer, RESOURCE, startIssuer } from '../kit/issuer.ts';
import { program, startCli } from './cli-process.ts';

const serve = (flags: string[]) => startCli(['serve', program('echo-server.mjs'), '--port', '0', ...flags]);

const ask = (url: string, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
    }),
  });

test('serves callers with a token of the issuer, and tells others where to get one', async () => {
  const issuer = await startIssuer();
  const cli = serve(['--auth-issuer', issuer.url, '--auth-audience', RESOURCE, '--auth-scopes', 'read']);
  const url = await cli.url();
  expect(cli.output.stdout).toContain(`with a token of ${issuer.url}`);
  const refused = await ask(url);
  expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
    401,
    expect.stringContaining('resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'),
  ]);
  const metadata = await fetch(new URL('/.well-known/oauth-protected-resource/mcp', url));
  expect(await metadata.json()).toMatchObject({ resource: RESOURCE, authorization_servers: [issuer.url] });
  expect((await ask(url, bearer(await issuer.token()).headers)).status).toBe(200);
  const narrow = await issuer.token({ claims: { scope: 'write' } });
  expect((await ask(url, bearer(narrow).headers)).status).toBe(403);
});

describe('the warning about an open address', () => {
  const OPEN = '0.0.0.0';
  test.each([
    [{ host: OPEN }, OPEN, true],
    [{ host: OPEN, allowedHosts: ['mcp.example', '127.0.0.1'] }, OPEN, true],
    [{ host: OPEN, allowAnyone: true }, OPEN, false],
    [{ host: '127.0.0.1' }, '127.0.0.1', false],
    [{ host: 'localhost' }, '::1', false],
  ] as const)('with %j: at %s %s', (flags, address, warned) => {
    const { allowAnyone, options } = readSettings(new Map(Object.entries(flags)) as GivenFlags, {});
    const shown = { address, allowAnyone, options: resolveOptions(options), url: 'http://127.0.0.1:3000/mcp' };
    const text = banner({ version: '1', ...shown });
    expect(text.includes('WARNING')).toBe(warned);
    expect(text).toMatch(
      address === OPEN ? /bound to +0\.0\.0\.0:3000 \(every/ : /bound to +(127\.0\.0\.1|\[::1\]):3000$/m,
    );
  });

  test.each([
    [OPEN, true],
    ['localhost', false],
  ])('a process at %s: %s, and no second warning', async (host, warned) => {
    const cli = serve(['--host', host]);
    await cli.url();
    expect(cli.output.stdout.includes('WARNING')).toBe(warned);
    expect(cli.output.stderr).not.toContain('Every machine that reaches this address');
  });
});

describe('the flags', () => {
  const given = (env: Record<string, string>) => readSettings(new Map(), env);
  const both = { SOJOURN_AUTH_ISSUER: 'https://id.example', SOJOURN_AUTH_AUDIENCE: 'a,b' };

  test('become auth.jwt and auth.requiredScopes', () => {
    const { options } = given({
      ...both,
      SOJOURN_AUTH_SCOPES: 'x,y',
      SOJOURN_AUTH_JWKS_URI: 'https://id.example/keys',
    });
    expect(options.auth).toEqual({
      jwt: { issuer: 'https://id.example', audience: ['a', 'b'], jwksUri: 'https://id.example/keys' },
      requiredScopes: ['x', 'y'],
    });
  });

  test('need an issuer and an audience, and errors name the flag', () => {
    expect(() => given({ SOJOURN_AUTH_ISSUER: 'https://id.example' })).toThrow(/SOJOURN_AUTH_ISSUER needs/);
    expect(() => given({ SOJOURN_AUTH_SCOPES: 'x' })).toThrow(/SOJOURN_AUTH_SCOPES needs/);
    expect(given(both).origin('auth.jwt.issuer')).toBe('SOJOURN_AUTH_ISSUER');
  });

  test('replace how the module identifies callers, and keep its authorize', () => {
    const authorize = () => true;
    const merged = mergeOptions(
      { auth: { verify: async () => undefined, authorize, requiredScopes: ['z'] } },
      given(both).options,
    );
    expect(resolveOptions(merged).auth).toMatchObject({
      identification: { by: 'jwt' },
      authorize,
      requiredScopes: ['z'],
    });
  });
});
