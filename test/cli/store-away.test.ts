/** `sojourn serve` with a parent while its store is away: a reload, and a crash of the worker. */
import { expect, onTestFinished, test } from 'vitest';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWhereInstalled, startServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { program, startCli } from './cli-process.ts';
import { clientOf, count } from './deployment.ts';

const LONG = { timeout: 90_000 };

async function serveBehindLink() {
  const server = await startServer('redis');
  onTestFinished(() => server.close());
  const link = await createFaultProxy({ port: server.port });
  onTestFinished(() => link.close());
  const store = `redis://127.0.0.1:${link.port}`;
  const cli = startCli(['serve', program('counting-server.mjs'), '--port', '0', '--workers', '1', '--store', store]);
  const lines = (): { msg: string; worker_pid?: number }[] =>
    cli.output.stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { msg: string; worker_pid?: number });
  const pids = (): number[] =>
    lines().flatMap(({ msg, worker_pid }) => (msg === 'worker listens' ? [Number(worker_pid)] : []));
  const said = (part: string): Promise<unknown> =>
    until(() => lines().some(({ msg }) => msg.includes(part)), { timeoutMs: 30_000, what: `the line "${part}"` });
  const url = await cli.url();
  return { cli, url, link, pids, said };
}

describeWhereInstalled('redis', 'while the store is away', () => {
  test('a reload lets the old worker serve until the new one has its store, and fails no call', LONG, async () => {
    const { cli, url, link, pids, said } = await serveBehindLink();
    const client = clientOf(url, undefined, { timeoutMs: 30_000 });
    await client.initialize();
    expect(await count(client)).toMatch(/^1 /);
    link.refuse(true);
    link.cutAll();
    cli.kill('SIGHUP');
    await said('rolling restart: the session store of the new worker is away');
    expect(pids()).toHaveLength(1);
    const waits = count(client);
    link.heal();
    expect(await waits).toMatch(/^2 /);
    await said('rolling restart done');
    expect(pids()).toHaveLength(2);
    expect(await count(clientOf(url, client))).toMatch(/^3 /);
    cli.kill('SIGTERM');
    expect(await cli.ended()).toMatchObject({ code: 0 });
  });

  test('a worker that replaces a crashed one listens, and its requests wait for the store', LONG, async () => {
    const { cli, url, link, pids } = await serveBehindLink();
    const client = clientOf(url);
    await client.initialize();
    expect(await count(client)).toMatch(/^1 /);
    link.refuse(true);
    link.cutAll();
    process.kill(Number(pids()[0]), 'SIGKILL');
    await until(() => pids().length === 2, { timeoutMs: 30_000, what: 'another worker' });
    const waits = count(clientOf(url, client, { timeoutMs: 30_000 }));
    link.heal();
    expect(await waits).toMatch(/^2 /);
    cli.kill('SIGTERM');
    expect(await cli.ended()).toMatchObject({ code: 0 });
  });

  test(
    'a reload whose old worker dies in that time serves with the new one, before its store is open',
    LONG,
    async () => {
      const { cli, url, link, pids, said } = await serveBehindLink();
      const client = clientOf(url);
      await client.initialize();
      link.refuse(true);
      link.cutAll();
      cli.kill('SIGHUP');
      await said('rolling restart: the session store of the new worker is away');
      process.kill(Number(pids()[0]), 'SIGKILL');
      await until(() => pids().length === 2, { timeoutMs: 30_000, what: 'the new worker to listen' });
      link.heal();
      expect(await count(clientOf(url, client, { timeoutMs: 30_000 }))).toMatch(/^1 /);
      cli.kill('SIGTERM');
      expect(await cli.ended()).toMatchObject({ code: 0 });
    },
  );
});
