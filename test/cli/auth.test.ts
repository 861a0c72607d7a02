/** `sojourn serve` with `--auth-…`: a child process that asks for tokens. */
import { expect, test } from 'vitest';
import { bearer, RESOURCE, startIssuer } from '../kit/issuer.ts';
import { openClient } from '../kit/listening.ts';
import { program, startCli } from './cli-process.ts';

const serve = (flags: string[]) =>
  startCli(['serve', program('echo-server.mjs'), '--port', '0', ...flags]);

test('serves callers with a token of the issuer, and tells others where to get one', async () => {
  const issuer = await startIssuer();
  const cli = serve([
    '--auth-issuer',
    issuer.url,
    '--auth-audience',
    RESOURCE,
    '--auth-scopes',
    'read',
  ]);
  const url = await cli.url();
  expect(cli.output.stdout).toContain(`with a token of ${issuer.url}`);
  const ask = async (token?: string) =>
    (await openClient(url, token === undefined ? {} : bearer(token)).initialize()).response;
  const refused = await ask();
  expect([refused.status, refused.header('www-authenticate')]).toEqual([
    401,
    expect.stringContaining(
      'resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"',
    ),
  ]);
  const metadata = await fetch(new URL('/.well-known/oauth-protected-resource/mcp', url));
  expect(await metadata.json()).toMatchObject({
    resource: RESOURCE,
    authorization_servers: [issuer.url],
  });
  expect((await ask(await issuer.token())).status).toBe(200);
  const narrow = await issuer.token({ claims: { scope: 'write' } });
  expect((await ask(narrow)).status).toBe(403);
});
