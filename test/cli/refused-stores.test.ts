/**
 * `sojourn serve` on a store that refuses it: real servers with wrong passwords, names and rights. What is said of a
 * file: `test/stores/sqlite-file.test.ts`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { createClient } from 'redis';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openClient } from '../kit/listening.ts';
import {
  describeWhereInstalled,
  freePort,
  startServer,
  type TestServer,
} from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { program, startCli } from './cli-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const WRONG = 'wrong-password-22';
const TOLERATED = '(--no-require-store serves all the same and keeps trying)\n';

const SERVE = ['serve', program('durable-server.mjs'), '--port', '0'];

const serve = (store: string, ...flags: string[]) =>
  startCli([...SERVE, ...flags], { env: { SOJOURN_STORE: store } });

/** A password that a URL writes in another way. */
const OTHER = 'a/b?c#d@e:f g"h\'i%25<é>|\\z';

/** One message and nothing else. */
async function expectRefusal(
  store: string,
  message: RegExp,
  { secret = WRONG, workers = '0' } = {},
): Promise<void> {
  const { code, stdout, stderr } = await serve(store, '--workers', workers).ended();
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).not.toContain(secret);
  expect(stderr.endsWith(TOLERATED)).toBe(true);
  expect(stderr.slice(0, -TOLERATED.length)).toMatch(message);
}

describeWhereInstalled('redis', 'Redis', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer('redis', {
      args: ['--user', 'ann', 'on', '>right-password', '~*', '&*', '+@all'],
    });
  });
  afterAll(() => server?.close());
  const urlOf = (credentials: string, path = '') =>
    `redis://${credentials}127.0.0.1:${server.port}${path}`;

  test.each([
    [WRONG, '0'],
    [OTHER, '2'],
  ])(
    'that refuses the password %s ends the command with one sentence (%s workers)',
    async (secret, workers) => {
      await expectRefusal(
        urlOf(`ann:${encodeURIComponent(secret)}@`),
        /^sojourn: SOJOURN_STORE: Redis at redis:\/\/127\.0\.0\.1:\d+: user name and password are not accepted; put the right ones into the URL \(WRONGPASS [^*]*\)\n$/,
        { secret, workers },
      );
    },
  );

  test('that has no such database does too', async () => {
    await expectRefusal(
      urlOf('ann:right-password@', '/99'),
      /^sojourn: SOJOURN_STORE: Redis at .*\/99: it has no database of this number; put a lower one into the URL, redis:\/\/host\/0 \(.*\)\n$/,
    );
  });

  test('with --no-require-store it is said in the banner, and sessions are served once it lets in', async () => {
    const cli = serve(urlOf(`bob:${WRONG}@`), '--no-require-store');
    const url = await cli.url();
    await cli.says(/Stop with/);
    expect(cli.output.stdout).toMatch(
      /^ {2}store {5}redis:\/\/127\.0\.0\.1:\d+ \(cannot be used; sojourn keeps trying\)\n {12}Redis at redis:.*: user name and password are not accepted; put the right ones into the URL \(WRONGPASS .*\)$/m,
    );
    const ready = async () => (await fetch(new URL('/readyz', url))).status;
    expect(await ready()).toBe(503);
    const client = createClient({ url: server.url });
    await client.connect();
    await client.sendCommand(['ACL', 'SETUSER', 'bob', 'on', `>${WRONG}`, '~*', '&*', '+@all']);
    await client.close();
    await until(async () => (await ready()) === 200, { what: 'the store to be open' });
    cli.kill('SIGTERM');
    const { code, stdout, stderr } = await cli.ended();
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain(WRONG);
  });

  test('that is away ends the command only with --require-store, and is used once it is there', async () => {
    const port = await freePort();
    const store = `redis://127.0.0.1:${port}`;
    expect(await serve(store, '--require-store').ended()).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^sojourn: SOJOURN_STORE: Redis at redis:.*: connect ECONNREFUSED .*\n$/,
      ) as string,
    });
    const cli = serve(store);
    const url = await cli.url();
    await cli.says(/Stop with/);
    expect(cli.output.stdout).toMatch(
      /\(cannot be reached; sojourn keeps trying to connect\)\n {12}Redis at .* ECONNREFUSED/,
    );
    const status = async (path: string) => (await fetch(new URL(path, url))).status;
    expect([await status('/healthz'), await status('/readyz')]).toEqual([200, 503]);
    const waiting = openClient(url).initialize();
    const back = await startServer('redis', { port });
    onTestFinished(() => back.close());
    expect((await waiting).response.status).toBe(200);
    const lines = cli.lines().map(({ msg }) => msg);
    expect(lines.filter((msg) => msg.includes('session store'))).toEqual([
      'The session store could not be opened: requests wait up to maxWaitMs, and it is tried again',
      'The session store is open',
    ]);
  });
});

describeWhereInstalled('postgres', 'PostgreSQL', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer('postgres');
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    await client.query("CREATE ROLE ann LOGIN PASSWORD 'right-password'");
    await client.query('CREATE ROLE out NOLOGIN');
    await client.end();
    await server.stop();
    writeFileSync(
      join(server.folder, 'pg_hba.conf'),
      'host all ann all scram-sha-256\nhost all all all trust\n',
    );
    await server.start();
  });
  afterAll(() => server?.close());

  test.each([
    [
      'password',
      `ann:${encodeURIComponent(OTHER)}`,
      'postgres',
      /the password is wrong \(password authentication failed for user "ann", 28P01\)/,
    ],
    [
      'missing password',
      'ann',
      'postgres',
      /it asks for a password; put it into the URL \(SASL: .*\)/,
    ],
    [
      'user',
      'out',
      'postgres',
      /it does not let this user in; look at its pg_hba\.conf and at the user \(.*\)/,
    ],
    [
      'database',
      'postgres',
      'missing',
      /the database does not exist; create it, or name another \(.*, 3D000\)/,
    ],
    ['schema', 'ann:right-password', 'postgres', /this user may not make the schema sojourn; .*/],
  ])(
    'that refuses the %s ends the command with one sentence',
    async (_what, user, database, sentence) => {
      await expectRefusal(
        `postgres://${user}@127.0.0.1:${server.port}/${database}`,
        new RegExp(
          `^sojourn: SOJOURN_STORE: PostgreSQL at 127\\.0\\.0\\.1:\\d+/${database}: ${sentence.source}\n$`,
        ),
      );
    },
  );
});

test('a SQLite file that cannot be made ends the command with one sentence, without a word of another way', async () => {
  const path = join(temporaryFolder(), 'missing/sessions.db');
  const { code, stdout, stderr } = await serve(`sqlite:${path}`, '--workers', '2').ended();
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(
    /^sojourn: SOJOURN_STORE: \/.*sessions\.db cannot be made; create its directory, .* \(ENOENT: .*\/missing\/sessions\.db'\)\n$/,
  );
});
