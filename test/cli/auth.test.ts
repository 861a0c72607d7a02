/** `sojourn serve` with `--auth-…`: who is let in, as whom. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bearer, RESOURCE, startIssuer } from '../kit/issuer.ts';
import { createLab } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { serve as serveHere } from '../kit/serve.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { program, startCli } from './cli-process.ts';
import { settingsOf } from './here.ts';

const serve = (flags: string[]) =>
  startCli(['serve', program('echo-server.mjs'), '--port', '0', ...flags]);

test('serves callers with a token of the issuer, and tells others where to get one', async () => {
  const issuer = await startIssuer();
  const cli = serve([
    '--auth-jwt-issuer',
    issuer.url,
    '--auth-jwt-audience',
    RESOURCE,
    '--auth-required-scopes',
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

describe('callers who are known without an issuer', () => {
  const digest = (key: string): string => createHash('sha256').update(key).digest('hex');
  const KEYS = `# keys\n\nann ${digest('key-of-ann')}\r\nbob ${digest('key-of-bob').toUpperCase()}\n`;
  const keys = (content = KEYS): string[] => ['--auth-keys', `file:${content}`];
  /** A flag `file:…` becomes the path of a file with that content. */
  const settings = (flags: readonly string[]) => {
    const path = join(temporaryFolder(), 'keys.txt');
    const written = (flag: string): string => (writeFileSync(path, flag.slice(5)), path);
    return settingsOf(flags.map((flag) => (flag.startsWith('file:') ? written(flag) : flag)));
  };
  const proxy = (...from: string[]): string[] => [
    '--auth-trusted-proxy-user-header',
    'x-user',
    ...from.flatMap((range) => ['--auth-trusted-proxy-user-from', range]),
  ];
  const named = (user: string) => ({ headers: { 'x-user': user } });

  test.each([
    ['the key of ann', keys(), bearer('key-of-ann'), 200, 'ann'],
    ['the key of bob', keys(), bearer('key-of-bob'), 200, 'bob'],
    ['another key', keys(), bearer('key-of-eve'), 401, undefined],
    ['a digest for a key', keys(), bearer(digest('key-of-ann')), 401, undefined],
    ['no key', keys(), {}, 401, undefined],
    ['a user of a proxy here', proxy(), named('ann'), 200, 'ann'],
    ['no user of a proxy', proxy(), {}, 401, undefined],
    ['a user of a proxy elsewhere', proxy('10.0.0.0/8'), named('ann'), 401, undefined],
  ])('%s', async (_, flags, client, status, userName) => {
    const { options } = await settings(flags);
    const served = await serveHere(createLab().factory, { auth: options.auth });
    const { response } = await served.client(client).initialize();
    const { sessions } = await served.endpoint.sessions.list();
    expect([response.status, sessions[0]?.userName]).toEqual([status, userName]);
  });

  test.each([
    [['--auth-keys', '/no/such/file'], '--auth-keys /no/such/file cannot be read'],
    [keys('# none'), 'has no key'],
    [keys('ann secret'), 'line 1: write a user, a blank, and the SHA-256 of the key in hex'],
    [[...keys(), ...proxy()], '--auth-keys and --auth-trusted-proxy-user-header contradict'],
    [proxy('10.0.0.0/8').slice(2), 'needs --auth-trusted-proxy-user-header'],
  ])('%j is refused', async (flags, why) => {
    await expect(settings(flags)).rejects.toThrow(why);
  });
});
