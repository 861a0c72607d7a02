/** How a supervisor starts workers in its slots, with real processes that only report. */
import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Supervisor } from '../../src/cli/supervisor.ts';
import { WorkerProcess } from '../../src/cli/worker-process.ts';
import { createLog } from '../kit/log.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';

const program = join(import.meta.dirname, 'processes/leaving-worker.mjs');

function supervise(of: { workers: number; dev: boolean } = { workers: 2, dev: false }) {
  const folder = temporaryFolder();
  const fd = openSync('/dev/null', 'r');
  const logger = createLog();
  const launched: number[] = [];
  const starts: string[] = [];
  const workers: WorkerProcess[] = [];
  const supervisor = new Supervisor({
    ...of,
    // No timer of Node's is as long.
    drainTimeoutMs: 30 * 86_400_000,
    logger,
    launch: (number, start) => {
      launched.push(number);
      starts.push(start);
      const command = { program, args: [folder], env: process.env, dashboardToken: 'made', fd };
      workers.push(new WorkerProcess(number, command, start));
      return workers.at(-1)!;
    },
  });
  onTestFinished(async () => {
    expect(await supervisor.stop()).toBe(0);
    closeSync(fd);
  });
  void supervisor.run();
  const isServing = (): boolean => supervisor.slots.every(({ serving }) => serving !== undefined);
  const served = (): Promise<unknown> => until(isServing, { what: 'a worker in each slot' });
  return { supervisor, served, launched, starts, workers, logger, folder };
}

test('a worker that leaves as soon as it listens is replaced', async () => {
  const { served, launched, starts } = supervise();
  await served();
  await until(() => launched.length === 3, { what: 'a second worker in the second slot' });
  expect(launched).toEqual([1, 2, 2]);
  // Only the first one ends the command where its store cannot be opened.
  expect(starts).toEqual(['first', 'again', 'again']);
});

test('a rolling restart replaces each slot once, also one whose worker leaves as soon as it listens', async () => {
  const { supervisor, served, launched } = supervise();
  await served();
  await supervisor.roll();
  await served();
  // The restart reaches the second slot before or after its worker has left it.
  expect([[1, 1, 2, 2].join(), [1, 1, 2, 2, 2].join()]).toContain(launched.toSorted().join());
});

test.each<[string, string[], number, (of: ReturnType<typeof supervise>) => void]>([
  [
    'that an earlier one still waits for',
    ['rolling restart'],
    0,
    ({ supervisor }) => void supervisor.roll(),
  ],
  ['in the place of one that crashed', [], 1, ({ workers }) => workers[0]?.kill()],
])(
  'a rolling restart ends a new worker %s, and starts another one',
  async (_name, earlier, deaths, begin) => {
    const all = supervise();
    const { supervisor, launched, logger, folder } = all;
    await until(() => logger.matching(/^worker listens/).length === 3, {
      what: 'a second worker in the second slot',
    });
    writeFileSync(join(folder, 'hang'), '');
    begin(all);
    await until(() => existsSync(join(folder, 'hangs')), { what: 'the new worker to hang' });
    await supervisor.roll();
    expect(launched).toEqual([1, 2, 2, 1, 1, 2]);
    const said = logger.matching(/^rolling/).map(({ message }) => message);
    expect(said).toEqual([...earlier, 'rolling restart', 'rolling restart done']);
    // The worker that the restart ended has not died.
    expect(supervisor.slots.map((slot) => slot.deaths)).toEqual([deaths, 0]);
  },
);

test('dev starts a broken build once for each edit, also where the build before crashes in that time', async () => {
  const { supervisor, served, launched, workers, logger, folder } = supervise({
    workers: 1,
    dev: true,
  });
  await served();
  const broken = join(folder, 'broken');
  writeFileSync(broken, '');
  workers[0]?.kill();
  await supervisor.roll();
  await workers[0]?.ended;
  await until(() => logger.matching(/^not loaded/).length > 0, { what: 'the build to fail' });
  rmSync(broken);
  await supervisor.roll();
  expect(launched).toEqual([1, 1, 1]);
});
