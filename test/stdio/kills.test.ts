/** Slow calls of official clients through `sojourn stdio`, whose worker and children are killed at random. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Connect, openV1, openV2 } from '../kit/official-client.ts';
import { inMatrix, isMatrix } from '../kit/matrix.ts';
import { sessionClients } from '../clients/official.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { startCli } from '../cli/cli-process.ts';
import { marked, SCRIPTED } from './serving.ts';

const MARK = 'TEST_OF_KILLS';
/** Of two kills; a call takes as long as the longest. */
const LONGEST_MS = 1_500;
const RETRY_MS = 100;
/** A call that has no answer then never gets one: three runs, and as many starts of a busy machine. */
const HUNG_MS = 60_000;

const CLIENTS: Readonly<Record<string, Connect>> = {
  v1: (url, options) => openV1(url, options),
  v2: (url, options) => openV2(url, options),
  modern: (url, options) => openV2(url, options, 'http', 'auto'),
};

/** What a client may get instead of the answer. The connection of a 2026-07-28 client ends with its process. */
const REASONS = /owner_lost|child_ended|ran_too_often|fetch failed|terminated|ECONN|socket/;

interface Kill {
  readonly victim: 'worker' | 'child';
  readonly afterMs: number;
}

const kills: fc.Arbitrary<Kill> = fc.record({
  victim: fc.constantFrom('worker', 'worker', 'child'),
  afterMs: fc.integer({ min: 0, max: LONGEST_MS }),
});

let starts = 0;

/** With a supervisor. `workers`: lines of those that listen. */
async function start(words: readonly string[] = []) {
  const mark = `${process.pid}.${(starts += 1)}`;
  const cwd = temporaryFolder();
  const flags = ['--port', '0', '--log-level', 'debug', '--store', `sqlite:${join(cwd, 's.db')}`];
  const more = ['--env', `${MARK}=${mark}`, '--tools-after-crash-run', 'wait'];
  const command = ['--', process.execPath, SCRIPTED, ...words];
  const cli = startCli(['stdio', ...flags, ...more, ...command], {
    cwd,
    env: { SOJOURN_WORKERS: '1', SOJOURN_RETRY_MS: String(RETRY_MS) },
  });
  const url = await cli.url();
  const workers = () => cli.lines().filter(({ msg }) => msg === 'worker listens');
  await cli.logs('worker listens');
  const killWorker = async (): Promise<void> => {
    const before = workers();
    process.kill(before.at(-1)?.worker_pid ?? 0, 'SIGKILL');
    await until(() => workers().length > before.length);
  };
  const killChild = (): void => {
    for (const pid of marked(MARK, mark).slice(0, 1)) process.kill(pid, 'SIGKILL');
  };
  return { cli, url, killWorker, killChild };
}

/** Resolves with what went wrong. */
async function story(plan: readonly Kill[]): Promise<string[]> {
  const { cli, url, killWorker, killChild } = await start();
  const clients = await Promise.all(
    Object.entries(CLIENTS).map(async ([name, open]) => ({ name, client: await open(url) })),
  );
  let isOver = false;
  const wrong: string[] = [];
  const lives = clients.map(async ({ name, client }) => {
    while (!isOver) {
      const said = await client
        .say('wait', { ms: LONGEST_MS }, { timeout: HUNG_MS })
        .catch((error: Error & { data?: object; cause?: unknown }) =>
          [error.message, JSON.stringify(error.data), String(error.cause)].join(' '),
        );
      if (said !== 'waited' && !REASONS.test(said)) wrong.push(`${name}: ${said}`);
    }
  });
  for (const { victim, afterMs } of plan) {
    await pause(afterMs);
    if (victim === 'child') killChild();
    else await killWorker();
  }
  isOver = true;
  await Promise.all(lives);
  await Promise.all(clients.map(({ client }) => client.close()));
  cli.kill('SIGTERM');
  await cli.ended();
  return wrong;
}

test(
  'each call is answered, or its client gets to know why not',
  async () => {
    const plans = fc.array(kills, { minLength: 3, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        expect(await story(plan)).toEqual([]);
      }),
      { numRuns: isMatrix ? 60 : 1, endOnFailure: true },
    );
  },
  isMatrix ? 1_800_000 : 120_000,
);

/** Those of the official clients: they give a stream up after two requests that fail. */
const OFFICIAL = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 2,
};

test.each(inMatrix(sessionClients, sessionClients.slice(0, 1)))(
  '%s: a call is answered although three workers die while they start the child of its session',
  async (_, connect) => {
    const late = join(temporaryFolder(), 'late');
    const { cli, url, killWorker } = await start(['late', late]);
    let resumed = 0;
    const client = await connect(url, {
      reconnection: OFFICIAL,
      fetch: async (to, init) => {
        const response = await fetch(to, init);
        // Of the stream of a POST.
        if (new Headers(init?.headers).get('last-event-id')?.includes('-p')) resumed += 1;
        return response;
      },
    });
    await client.listening;
    const call = client.say('wait', { ms: 1_000 });
    await until(() => cli.output.stderr.includes('began wait'));
    writeFileSync(late, '');
    for (let n = 0; n < 3; n += 1) {
      resumed = 0;
      await killWorker();
      await until(() => resumed > 0, { what: 'the head of its stream' });
    }
    rmSync(late);
    expect(await call).toBe('waited');
  },
);
