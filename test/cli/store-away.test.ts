/** `sojourn serve` with a parent while its store is away: a reload, and a crash of the worker. */
import { expect, onTestFinished, test } from 'vitest';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWhereInstalled, startServer } from '../kit/servers/index.ts';
import { say } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { until } from '../kit/until.ts';
import { startWorkers } from './workers-process.ts';

const LONG = { timeout: 90_000 };

async function serveBehindLink() {
  const server = await startServer('redis');
  onTestFinished(() => server.close());
  const link = await createFaultProxy({ port: server.port });
  onTestFinished(() => link.close());
  const store = `redis://127.0.0.1:${link.port}`;
  const cli = startWorkers({ module: 'durable-server.mjs', workers: 1, store });
  return { cli, url: await cli.url(), link };
}

describeWhereInstalled('redis', 'while the store is away', () => {
  test(
    'a reload lets the old worker serve until the new one has its store, and fails no call',
    LONG,
    async () => {
      const { cli, url, link } = await serveBehindLink();
      const client = openClient(url);
      await client.initialize();
      expect(await say(client, 'count')).toMatch(/^1 /);
      link.refuse(true);
      link.cutAll();
      cli.kill('SIGHUP');
      await cli.logs('rolling restart: the session store of the new worker is away');
      expect(cli.all()).toHaveLength(1);
      const waits = say(client, 'count');
      link.heal();
      expect(await waits).toMatch(/^2 /);
      await cli.logs('rolling restart done');
      expect(cli.all()).toHaveLength(2);
      expect(await say(openClient(url, { of: client }), 'count')).toMatch(/^3 /);
      cli.kill('SIGTERM');
      expect(await cli.ended()).toMatchObject({ code: 0 });
    },
  );

  test(
    'a worker that replaces a crashed one listens, and its requests wait for the store',
    LONG,
    async () => {
      const { cli, url, link } = await serveBehindLink();
      const client = openClient(url);
      await client.initialize();
      expect(await say(client, 'count')).toMatch(/^1 /);
      link.refuse(true);
      link.cutAll();
      process.kill(Number(cli.all()[0]), 'SIGKILL');
      await until(() => cli.all().length === 2, { what: 'another worker' });
      const waits = say(openClient(url, { of: client }), 'count');
      link.heal();
      expect(await waits).toMatch(/^2 /);
      cli.kill('SIGTERM');
      expect(await cli.ended()).toMatchObject({ code: 0 });
    },
  );
});
