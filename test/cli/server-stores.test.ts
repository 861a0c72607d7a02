// @module-tag matrix
/** `sojourn serve` and `sojourn sessions` on a store that is a server. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import {
  describeWhereInstalled,
  freePort,
  serverKinds,
  startServer,
  type ServerKind,
  type TestServer,
} from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { program, startCli } from './cli-process.ts';
import { runHere } from './here.ts';
import { say } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';

const PASSWORD = 'hunter22-hunter';
const USERS: Readonly<Record<ServerKind, string>> = { redis: 'ann', postgres: 'postgres' };

/** Redis lets in who has no password, for the tests' own questions, and one who has. */
const REDIS_USERS = `--user default on nopass ~* &* +@all --user ann on >${PASSWORD} ~* &* +@all`.split(' ');

function withPassword(kind: ServerKind, given: string, port?: number): string {
  const url = new URL(given);
  url.username = USERS[kind];
  url.password = PASSWORD;
  if (port !== undefined) url.port = String(port);
  return url.href;
}

/** As a load balancer asks. */
async function status(url: string, path: string): Promise<number> {
  return (await fetch(new URL(path, url))).status;
}

async function open(url: string): Promise<RawClient & { sessionId: string }> {
  const client = openClient(url);
  await client.initialize();
  return client as RawClient & { sessionId: string };
}

describe.each(serverKinds)('on %s', (kind) => {
  describeWhereInstalled(kind, 'the command line', () => {
    let server: TestServer;
    beforeAll(async () => {
      server = await startServer(kind, kind === 'redis' ? { args: REDIS_USERS } : {});
    });
    afterAll(() => server?.close());

    const serve = (store: string, ...flags: string[]) =>
      startCli(['serve', program('durable-server.mjs'), '--port', '0', ...flags], { env: { SOJOURN_STORE: store } });

    test('serves sessions that outlive the process, and looks into them', async () => {
      const store = withPassword(kind, server.url);
      const first = serve(store);
      const client = await open(await first.url());
      expect(await say(client, 'count')).toBe('1 restored false');
      first.kill('SIGTERM');
      const ended = await first.ended();
      expect(ended).toMatchObject({ code: 0 });
      expect(ended.stdout).toMatch(new RegExp(`^ {2}store +${kind}://127\\.0\\.0\\.1:\\d+[/\\w]*$`, 'm'));

      const sessions = (...args: string[]) => runHere(['sessions', ...args], { env: { SOJOURN_STORE: store } });
      const listed = await sessions('ls', '--json', '--ids');
      expect(listed).toMatchObject({ code: 0, stderr: '' });
      expect(JSON.parse(listed.stdout)).toMatchObject({ id: client.sessionId, status: 'released' });

      const second = serve(store);
      const again = openClient(await second.url(), { of: client });
      expect(await say(again, 'count')).toBe('2 restored true');
      expect(await sessions('end', client.sessionId)).toMatchObject({ code: 0 });
      expect((await again.call('ping')).response.status).toBe(404);
      second.kill('SIGTERM');
      await second.ended();
      expect(await sessions('ls', '--json')).toMatchObject({ code: 0, stdout: '' });
      for (const { stdout, stderr } of [ended, await second.ended(), listed])
        expect(stdout + stderr).not.toContain(PASSWORD);
    });

    test('begins while the store is away, says so, and serves once it is there', async () => {
      const port = await freePort();
      const cli = serve(withPassword(kind, server.url, port));
      const url = await cli.url();
      expect(cli.output.stdout).toMatch(/^ {2}store +\S+ \(cannot be reached; .*\)$/m);
      expect([await status(url, '/healthz'), await status(url, '/readyz')]).toEqual([200, 503]);
      const client = openClient(url);
      const waiting = client.initialize();
      const back = await startServer(kind, { port, ...(kind === 'redis' && { args: REDIS_USERS }) });
      onTestFinished(() => back.close());
      await until(async () => (await status(url, '/readyz')) === 200, {
        what: 'the store to be found',
      });
      expect((await waiting).response.status).toBe(200);
      expect(await say(client, 'count')).toBe('1 restored false');
      cli.kill('SIGTERM');
      const { code, stderr, stdout } = await cli.ended();
      expect(code).toBe(0);
      // One line when it was away, one when it was there.
      const lines = cli.lines().map(({ msg }) => msg);
      expect(lines.filter((msg) => msg.includes('store'))).toEqual([
        'The session store could not be opened: requests wait up to waitMs, and it is tried again',
        'The session store is open',
      ]);
      expect(stdout + stderr).not.toContain(PASSWORD);
    });
  });
});
