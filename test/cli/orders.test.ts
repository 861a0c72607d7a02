/** `sojourn sessions end` of a live session, and `sojourn instances drain`, on every store and with real processes. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { storeOf } from '../../src/cli/store-url.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createLab, say } from '../kit/lab.ts';
import { hashOf } from '../kit/log.ts';
import { serve } from '../kit/serve.ts';
import {
  durableKinds,
  sharedDeployment,
  useSharedStores,
  type DurableKind,
} from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { program, startCli } from './cli-process.ts';
import { linesOf, newFile, runHere } from './here.ts';
import { openClient } from '../kit/listening.ts';
import { startWorkers } from './workers-process.ts';

const KEY = 'an-instance-key-of-32-bytes-or-more';

type Lease = { readonly id: string; readonly pid: number };

function deployment(kind: DurableKind) {
  const { store = newFile().env.SOJOURN_STORE, env = {} } = sharedDeployment(kind);
  // An id that one command prints is still that of the instance when the next command has started.
  const shared = { ...env, SOJOURN_STORE: store, SOJOURN_LEASE_MS: '10000' };
  const sojourn = (args: string[], own: Record<string, string> = {}) =>
    runHere(args, { env: { ...shared, ...own } });
  const instances = async () =>
    linesOf((await sojourn(['instances', 'ls', '--json'])).stdout) as Lease[];
  return {
    sojourn,
    instances,
    /** In this process. */
    async serve(options: McpEndpointOptions = {}) {
      const { SOJOURN_DEPLOYMENT: deployment } = shared as { SOJOURN_DEPLOYMENT?: string };
      const named = deployment === undefined ? {} : { deployment };
      return serve(createLab().factory, {
        store: (await storeOf(store, '--store')).store,
        ...named,
        ...options,
      });
    },
    start: () => startCli(['serve', program('durable-server.mjs'), '--port', '0'], { env: shared }),
  };
}

async function open(url: string) {
  const client = openClient(url);
  await client.initialize();
  return client as typeof client & { sessionId: string };
}

useSharedStores();

test.each(durableKinds)(
  'on %s a live session is ended by its hash, and its id answers 404',
  async (kind) => {
    const { serve, sojourn } = deployment(kind);
    const { url, log } = await serve();
    const [client, other] = [await open(url), await open(url)];
    const hash = hashOf(client.sessionId);
    expect(await sojourn(['sessions', 'end', hash])).toEqual({
      code: 0,
      stdout: `ended ${hash}\n`,
      stderr: '',
    });
    expect((await client.call('ping')).response.status).toBe(404);
    expect((await other.call('ping')).response.status).toBe(200);
    expect(log.matching(/as sojourn sessions end ordered/)).toHaveLength(1);
    expect(await sojourn(['sessions', 'end', hash])).toMatchObject({ code: 1 });
  },
);

test.each(durableKinds)(
  'on %s an endpoint of a library drains, and it is said that its process lives on',
  async (kind) => {
    const { serve, sojourn } = deployment(kind);
    const { endpoint, log, url } = await serve();
    await open(url);
    const { instance } = endpoint.health();
    const { code, stdout } = await sojourn(['instances', 'drain', '--', instance]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`pid ${process.pid}) lives on`)]);
    await until(() => log.matching(/^This instance has drained/).length === 1, {
      what: 'the drain',
    });
    expect(endpoint.sessions.liveCount).toBe(0);
    expect(log.matching(/drain: its process lives on/, 'info')).toHaveLength(1);
    // Once more changes nothing.
    expect((await sojourn(['instances', 'drain', '--', instance])).code).toBe(0);
  },
);

describe('with real processes', () => {
  test('an instance is drained: its sessions go to the other one, and its process ends', async () => {
    const { start, serve, sojourn, instances } = deployment('sqlite');
    const a = start();
    const client = await open(await a.url());
    const { url } = await serve();
    const leases = await instances();
    const ofA = leases.find(({ pid }) => pid === a.parent);
    expect(leases.map(({ pid }) => pid).toSorted()).toEqual([a.parent, process.pid].toSorted());
    const drained = await sojourn(['instances', 'drain', '--', String(ofA?.id).slice(0, 8)]);
    expect(drained).toMatchObject({
      code: 0,
      stdout: `${ofA?.id} has drained, and its process ends\n`,
    });
    expect((await a.ended()).code).toBe(0);
    const here = openClient(url, { of: client });
    expect((await here.call('ping')).response.status).toBe(200);
    expect(a.output.stderr).toContain('ordered this process to drain and end');
    expect((await instances()).map(({ pid }) => pid)).toEqual([process.pid]);
  });

  test.runIf(process.platform !== 'win32')(
    'a worker is drained: its call ends, and another worker serves',
    async () => {
      const workers = startWorkers({ workers: 1 });
      const client = await open(await workers.url());
      const before = workers.pid(1);
      const answer = say(client, 'slow', { ms: 2_000 });
      await until(() => workers.output.stderr.includes('slow began'), { what: 'the slow tool' });
      const env = { SOJOURN_STORE: `sqlite:${join(workers.folder, 's.db')}` };
      const [{ id } = { id: '' }] = linesOf(
        (await runHere(['instances', 'ls', '--json'], { env })).stdout,
      ) as Lease[];
      expect(await runHere(['instances', 'drain', '--', id], { env })).toMatchObject({ code: 0 });
      expect(await answer).toBe(`done ${before}`);
      await workers.replaced(1, before);
      expect(workers.output.stderr).not.toContain('a second signal');
    },
  );

  test('an instance that is none, or is stuck, is named', async () => {
    const { start, sojourn, instances } = deployment('sqlite');
    const cli = start();
    await cli.url();
    const [{ id } = { id: '' }] = await instances();
    expect((await sojourn(['instances', 'drain', 'none'])).stderr).toContain(
      `There are: ${id} serving`,
    );
    cli.kill('SIGSTOP');
    expect(await sojourn(['instances', 'drain', '--wait', '300ms', '--', id])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('did not drain within 300 ms. Its log') as string,
    });
    // It carries out the order now.
    cli.kill('SIGCONT');
    await cli.ended();
    expect(await sojourn(['instances', 'drain', 'abcd'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no instance serves with this store') as string,
    });
  });
});

test('with secrets a command needs a key of the instance, from the environment', async () => {
  const { serve, sojourn } = deployment('sqlite');
  const client = await open((await serve({ secrets: [KEY] })).url);
  const hash = hashOf(client.sessionId);
  for (const key of ['', 'another-key-of-32-bytes-or-more-for-others']) {
    const refused = await sojourn(['sessions', 'end', hash, '--wait', '500ms'], {
      SOJOURN_SECRETS: key,
    });
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      /did not end the session within 500 ms\. Its log.*SOJOURN_SECRETS/,
    );
  }
  expect((await client.call('ping')).response.status).toBe(200);
  expect(await sojourn(['sessions', 'end', hash], { SOJOURN_SECRETS: KEY })).toMatchObject({
    code: 0,
  });
});
