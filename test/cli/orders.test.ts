/** `sojourn sessions end` of a live session, and `sojourn instances drain`, on every store, with real processes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createRawClient } from '../kit/raw-client.ts';
import { createLab } from '../kit/lab.ts';
import { createLog, hashOf } from '../kit/log.ts';
import { durableKinds, sharedDeployment, useSharedStores, type DurableKind } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { program, runProcess, startCli } from './cli-process.ts';

const KEY = 'an-instance-key-of-32-bytes-or-more';

function file(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-orders-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return `sqlite:${join(folder, 's.db')}`;
}

function deployment(kind: DurableKind, more: Record<string, string> = {}) {
  const { store = file(), env = {} } = sharedDeployment(kind);
  // An id that one command prints is still that of the instance when the next command has started.
  const shared = { ...env, SOJOURN_STORE: store, SOJOURN_LEASE_MS: '10000', ...more };
  const sojourn = (args: string[], own: Record<string, string> = {}) =>
    runProcess(args, { env: { ...shared, ...own } });
  const instances = async (): Promise<Array<{ id: string; pid: number; state: string }>> => {
    const { stdout } = await sojourn(['instances', 'ls', '--json']);
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as { id: string; pid: number; state: string });
  };
  const start = () => startCli(['serve', program('counting-server.mjs'), '--port', '0'], { env: shared });
  return { store, start, sojourn, instances };
}

async function open(url: string) {
  const client = createRawClient(url, { timeoutMs: 20_000 });
  onTestFinished(() => client.close());
  await client.initialize();
  return client as typeof client & { sessionId: string };
}

useSharedStores();

describe.each(durableKinds)('on %s', (kind) => {
  test('a live session is ended by its hash, and its id answers 404', { timeout: 60_000 }, async () => {
    const { start, sojourn } = deployment(kind);
    const cli = start();
    const [client, other] = [await open(await cli.url()), await open(await cli.url())];
    const hash = hashOf(client.sessionId);
    expect(await sojourn(['sessions', 'end', hash])).toMatchObject({ code: 0, stdout: `ended ${hash}\n`, stderr: '' });
    expect((await client.call('ping')).response.status).toBe(404);
    expect((await other.call('ping')).response.status).toBe(200);
    expect(cli.output.stderr).toContain('as sojourn sessions end ordered');
    expect(cli.output.stderr).toContain('"reason":"terminated"');
    expect(await sojourn(['sessions', 'end', hash])).toMatchObject({ code: 1 });
  });

  test(
    'an instance is drained: its sessions go to the other one, and its process ends',
    { timeout: 60_000 },
    async () => {
      const { start, sojourn, instances } = deployment(kind);
      const [a, b] = [start(), start()];
      const client = await open(await a.url());
      const atB = await b.url();
      const leases = await instances();
      const ofA = leases.find(({ pid }) => pid === a.parent);
      expect(leases.map(({ pid }) => pid).toSorted()).toEqual([a.parent, b.parent].toSorted());
      const drained = await sojourn(['instances', 'drain', String(ofA?.id).slice(0, 8)]);
      expect(drained).toMatchObject({ code: 0, stdout: `${ofA?.id} has drained, and its process ends\n` });
      expect((await a.ended()).code).toBe(0);
      const onB = createRawClient(atB, { timeoutMs: 20_000 });
      onTestFinished(() => onB.close());
      onB.sessionId = client.sessionId;
      onB.protocolVersion = client.protocolVersion;
      expect((await onB.call('ping')).response.status).toBe(200);
      expect(a.output.stderr).toContain('ordered this process to drain and end');
      expect((await instances()).map(({ pid }) => pid)).toEqual([b.parent]);
    },
  );
});

test('under a supervisor another worker takes the place of a drained worker', { timeout: 60_000 }, async () => {
  const { start, sojourn, instances } = deployment('sqlite', { SOJOURN_WORKERS: '2' });
  const cli = start();
  await cli.url();
  await until(async () => (await instances()).length === 2, { timeoutMs: 20_000 });
  const [first] = await instances();
  expect(await sojourn(['instances', 'drain', String(first?.id), '--json'])).toMatchObject({
    code: 0,
    stdout: `${JSON.stringify({ id: first?.id, drained: true, livesOn: false })}\n`,
  });
  await until(async () => (await instances()).filter(({ pid }) => pid !== first?.pid).length === 2, {
    timeoutMs: 20_000,
    what: 'another worker',
  });
});

test('in library use the endpoint drains, and log and command say that the process lives on', async () => {
  const { sojourn, store } = deployment('sqlite');
  const log = createLog();
  const endpoint = createMcpEndpoint(createLab().factory, {
    store: sqlite(store.slice('sqlite:'.length)),
    logger: log,
  });
  onTestFinished(() => endpoint.close());
  const { port } = await endpoint.listen({ port: 0 });
  await open(`http://127.0.0.1:${port}/mcp`);
  const { instance } = endpoint.health();
  const { code, stdout } = await sojourn(['instances', 'drain', instance]);
  expect([code, stdout]).toEqual([0, expect.stringContaining(`pid ${process.pid}) lives on`)]);
  await until(() => log.matching(/^This instance has drained/).length === 1, { what: 'the drain' });
  expect(endpoint.sessions.count).toBe(0);
  expect(log.matching(/drain: its process lives on/, 'info')).toHaveLength(1);
  // Once more changes nothing.
  expect((await sojourn(['instances', 'drain', instance])).code).toBe(0);
});

test('with instanceKeys a command needs a key of the instance, from the environment', { timeout: 60_000 }, async () => {
  const { start, sojourn } = deployment('sqlite', { SOJOURN_INSTANCE_KEYS: KEY });
  const cli = start();
  const client = await open(await cli.url());
  const hash = hashOf(client.sessionId);
  for (const key of ['', 'another-key-of-32-bytes-or-more-for-others']) {
    const refused = await sojourn(['sessions', 'end', hash, '--wait', '1s'], { SOJOURN_INSTANCE_KEYS: key });
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/did not end the session within 1000 ms: it lives.*SOJOURN_INSTANCE_KEYS/);
  }
  expect((await client.call('ping')).response.status).toBe(200);
  expect(await sojourn(['sessions', 'end', hash])).toMatchObject({ code: 0 });
});

test('an instance that is none, or has died, is named', async () => {
  const { start, sojourn, instances } = deployment('sqlite');
  const before = start();
  await before.url();
  before.kill('SIGTERM');
  await before.ended();
  expect(await sojourn(['instances', 'drain', 'abcd'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no instance serves with this store') as string,
  });
  const cli = start();
  await cli.url();
  const [{ id } = { id: '' }] = await instances();
  expect((await sojourn(['instances', 'drain', 'none'])).stderr).toContain(`There are: ${id} serving`);
  cli.kill('SIGSTOP');
  const stuck = await sojourn(['instances', 'drain', id, '--wait', '300ms']);
  expect(stuck).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('did not begin to drain within 300 ms') as string,
  });
});
