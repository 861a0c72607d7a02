/** `sojourn serve` on a store that outlives the process: a parent holds the port, and one worker serves. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { connectV1, connectV2 } from '../clients/official.ts';
import { ownConnections } from '../clients/own-connections.ts';
import { answersGoOn, type Calling, keepCalling } from '../kit/calling.ts';
import { ask } from '../kit/dashboard.ts';
import { until } from '../kit/until.ts';
import { inherited, startNode } from '../kit/child-process.ts';
import { dist, program, runProcess } from './cli-process.ts';
import { isAlive, startWorkers, type Workers } from './workers-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';

/** Clients with one connection a call. Several: one of them connects while others wait. */
const CONNECTING = 3;

async function underLoad(workers: Workers) {
  const url = await workers.url();
  const clients = [];
  for (const open of [connectV1, connectV2])
    clients.push(await open(url, { fetch: await ownConnections() }));
  const callers = clients.map((client) =>
    keepCalling(() => client.say('count', {}, { timeout: 30_000 })),
  );
  const port = Number(new URL(url).port);
  const connecting = Array.from({ length: CONNECTING }, () =>
    keepCalling(async () => expect((await ask(port, '/healthz')).status).toBe(200)),
  );
  return { url, callers, connecting };
}

type Load = Awaited<ReturnType<typeof underLoad>>;

const failuresOf = (callers: readonly Calling[]): string[] =>
  callers.flatMap(({ failures }) => failures);

/** A worker that ended: no connection was refused, and of the clients' calls only those fail that it was running. */
async function checkAfter({ callers, connecting }: Load): Promise<void> {
  const all = [...callers, ...connecting];
  await answersGoOn(all);
  await Promise.all(all.map(({ stop }) => stop()));
  for (const { answered } of connecting) expect(answered()).toBeGreaterThan(10);
  expect(failuresOf(all).filter((text) => text.includes('ECONNREFUSED'))).toEqual([]);
}

const LONG = { timeout: 300_000 };

test('a version of Node.js that cannot hold a port for others: an error says what to do', async () => {
  const env = { NODE_OPTIONS: `--require "${program('without-held-port.cjs')}"` };
  const flags = [
    '--workers',
    '1',
    '--port',
    '0',
    '--store',
    `sqlite:${join(temporaryFolder(), 's.db')}`,
  ];
  const { code, stderr } = await runProcess(['serve', program('durable-server.mjs'), ...flags], {
    env,
  });
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining('cannot hold it for other processes: say --workers 0'),
  ]);
});

describe.skipIf(process.platform === 'win32')('the port of `sojourn serve` (a Unix system)', () => {
  test(
    'refuses no connection while SIGHUP replaces its worker, and while that is killed or runs out of memory',
    LONG,
    async () => {
      const env = { NODE_OPTIONS: '--max-old-space-size=48' };
      const workers = startWorkers({ workers: 1, env });
      const load = await underLoad(workers);
      for (let reloads = 0; reloads < 2; reloads++) {
        await answersGoOn(load.callers);
        const pid = workers.pid(1);
        workers.kill('SIGHUP');
        await workers.replaced(1, pid);
        await until(() => !isAlive(pid), { what: 'the old worker to end' });
      }
      await answersGoOn(load.callers);
      // A reload fails no call.
      expect(failuresOf([...load.callers, ...load.connecting])).toEqual([]);
      const pid = workers.pid(1);
      process.kill(pid, 'SIGKILL');
      const next = await workers.replaced(1, pid);
      await answersGoOn(load.callers);
      const greedy = await connectV2(load.url, { fetch: await ownConnections() });
      const outcome = greedy.say('hoard', {}, { timeout: 20_000 }).catch(() => 'lost');
      await workers.replaced(1, next);
      expect(await outcome).toBe('lost');
      await checkAfter(load);
      workers.kill('SIGTERM');
      expect(await workers.ended()).toMatchObject({ code: 0 });
    },
  );

  test(
    'calls under way on a worker that is killed: a read-only one has its result, another one `owner_lost`',
    LONG,
    async () => {
      const workers = startWorkers({ workers: 1 });
      const url = await workers.url();
      const client = await connectV2(url, { fetch: await ownConnections() });
      await client.client.listTools();
      const pid = workers.pid(1);
      const tokens: string[] = [];
      const onresumptiontoken = (token: string): void => void tokens.push(token);
      const look = client.say('look', { ms: 1_000 }, { onresumptiontoken });
      const slow = client
        .say('slow', { ms: 60_000 }, { onresumptiontoken })
        .catch((error: unknown) => error);
      // Without an event id a client cannot come back.
      await until(() => new Set(tokens).size === 2, { what: 'both calls to have an event id' });
      process.kill(pid, 'SIGKILL');
      const next = await workers.replaced(1, pid);
      expect(await look).toBe(`looked ${next}`);
      expect(await slow).toMatchObject({ data: { reason: 'owner_lost', mayHaveRun: true } });
    },
  );
});

test.each([[], ['--store', 'sqlite:./s.db']])(
  'a worker of a cluster serves nothing, and says how to start it: %j',
  async (...flags) => {
    const args = ['serve', program('durable-server.mjs'), '--port', '0', ...flags];
    const setup = JSON.stringify({ exec: join(dist, 'cli/main.js'), args, execArgv: [] });
    const { closed, output } = startNode(
      [
        '-e',
        `const cluster = require('node:cluster'); cluster.setupPrimary(${setup}); cluster.fork();`,
      ],
      { cwd: temporaryFolder(), env: inherited },
    );
    await closed;
    expect(output.stderr).toMatch(
      /^sojourn: serve runs as a worker of a cluster, .* --workers makes the processes\n$/,
    );
  },
);
