/** `sojourn serve` with `--auth-…`: a child process that asks for tokens, and the warning of a process that does not. */
import { describe, expect, test } from 'vitest';
import { mergeOptions, readSettings } from '../../src/cli/settings.ts';
import { resolveOptions } from '../../src/options/resolve.ts';
import { bearer, RESOURCE, startIssuer } from '../kit/issuer.ts';
import { openClient } from '../kit/listening.ts';
import { program, startCli } from './cli-process.ts';

const serve = (flags: string[]) => startCli(['serve', program('echo-server.mjs'), '--port', '0', ...flags]);

test('serves callers with a token of the issuer, and tells others where to get one', async () => {
  const issuer = await startIssuer();
  const cli = serve(['--auth-issuer', issuer.url, '--auth-audience', RESOURCE, '--auth-scopes', 'read']);
  const url = await cli.url();
  expect(cli.output.stdout).toContain(`with a token of ${issuer.url}`);
  const ask = async (token?: string) =>
    (await openClient(url, token === undefined ? {} : bearer(token)).initialize()).response;
  const refused = await ask();
  expect([refused.status, refused.header('www-authenticate')]).toEqual([
    401,
    expect.stringContaining('resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"'),
  ]);
  const metadata = await fetch(new URL('/.well-known/oauth-protected-resource/mcp', url));
  expect(await metadata.json()).toMatchObject({ resource: RESOURCE, authorization_servers: [issuer.url] });
  expect((await ask(await issuer.token())).status).toBe(200);
  const narrow = await issuer.token({ claims: { scope: 'write' } });
  expect((await ask(narrow)).status).toBe(403);
});

test.each([
  ['0.0.0.0', true],
  ['localhost', false],
])('a process at %s warns of an open address: %s, and once', async (host, warned) => {
  const cli = serve(['--host', host]);
  await cli.url();
  expect(cli.output.stdout.includes('WARNING')).toBe(warned);
  expect(cli.output.stderr).not.toContain('Every machine that reaches this address');
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

  test('are named by errors', () => {
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
