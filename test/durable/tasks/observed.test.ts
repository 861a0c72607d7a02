/** What an application and its operators see of tasks: notices, metrics, request lines, log lines, `middleware`. */
import { expect, test } from 'vitest';
import type { Middleware, Notice } from '../../../src/index.ts';
import { sessionHash } from '../../../src/base/shown.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { passing } from '../../kit/moving-time.ts';
import { readScrape } from '../../kit/prometheus.ts';
import { serve, type Served } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';
import { watchedStore } from '../../kit/watched-store.ts';
import { Effects, TaskClient, taskServer } from './kit.ts';
import { openTwo } from './two-instances.ts';

const YES = { sure: { action: 'accept', content: { ok: true } } };

class Seen {
  readonly all: Notice[] = [];
  readonly observe = (notice: Notice): void => void this.all.push(notice);
  /** Those of tasks, without the times. */
  get tasks(): unknown[] {
    return this.all.flatMap((notice) =>
      notice.kind.startsWith('task') ? [{ ...notice, ms: undefined }] : [],
    );
  }
}

async function open(options: object = {}) {
  const [effects, seen] = [new Effects(), new Seen()];
  const served = await serve(taskServer(effects), {
    tasks: true,
    metrics: true,
    observe: seen.observe,
    accessLog: true,
    ...options,
  });
  return { ...served, effects, seen, raw: served.client(), own: new TaskClient(served.client()) };
}

const scrape = ({ endpoint }: Pick<Served, 'endpoint'>) => readScrape(endpoint.metrics());

test('a task is created, parks, continues and ends, and each is noticed once', async () => {
  const { own, seen } = await open();
  const id = await own.start('asks');
  await own.until(id, 'input_required');
  await own.update(id, YES);
  await own.ended(id);
  const of = { taskId: id, tool: 'asks' };
  expect(seen.tasks).toEqual([
    { kind: 'taskCreated', ...of },
    { kind: 'taskReleased', ...of, state: 'parked' },
    { kind: 'taskContinued', ...of, cause: 'answered', attempt: 1 },
    { kind: 'taskEnded', ...of, status: 'completed', reason: undefined },
  ]);
  const ended = seen.all.find((notice) => notice.kind === 'taskEnded');
  expect(ended?.ms).toBeGreaterThanOrEqual(0);
});

test('the end is noticed with what it was: a failure, a cancel, a result from elsewhere, its time', async () => {
  const time = createFakeTime();
  const { own, seen, endpoint } = await open({ timeProvider: time });
  const ids = {
    failed: await own.start('refuses'),
    cancelled: await own.start('held'),
    completed: await own.start('detaches'),
    expired: await own.start('detaches'),
  };
  await own.cancel(ids.cancelled);
  await own.cancel(ids.cancelled);
  await until(
    async () => await endpoint.tasks.complete(ids.completed, { content: [] }).catch(() => false),
  );
  await time.advance(660_000);
  await until(() => seen.tasks.filter((one) => (one as Notice).kind === 'taskEnded').length === 4);
  const ends = seen.all.flatMap((notice) => (notice.kind === 'taskEnded' ? [notice] : []));
  expect(Object.fromEntries(ends.map(({ status, taskId }) => [status, taskId]))).toEqual(ids);
  expect(ends.map(({ reason }) => reason)).toEqual([undefined, undefined, undefined, undefined]);
  expect(seen.tasks).toContainEqual({
    kind: 'taskReleased',
    taskId: ids.completed,
    tool: 'detaches',
    state: 'detached',
  });
});

test('a take-over is noticed at the instance that took it, and counted; so is what runs now', async () => {
  const seen: Record<string, Seen> = { a: new Seen(), b: new Seen() };
  const { a, b, ran, takenOver } = await openTwo({ afterCrash: 'run' }, (by) => ({
    metrics: true,
    observe: (seen[by] as Seen).observe,
  }));
  const id = await a.client.start('hold');
  await ran(0);
  expect(scrape(a).sum('sojourn_tasks_running')).toBe(1);
  expect(scrape(a).sum('sojourn_tasks_running_limit')).toBe(1_000);
  const second = await takenOver(id);
  expect(scrape(b).sum('sojourn_tasks_running')).toBe(1);
  second.answer('from b');
  await b.client.ended(id);
  const of = { taskId: id, tool: 'hold' };
  expect(seen['a']?.tasks).toEqual([{ kind: 'taskCreated', ...of }]);
  expect(seen['b']?.tasks).toEqual([
    { kind: 'taskContinued', ...of, cause: 'takeover', attempt: 2 },
    { kind: 'taskEnded', ...of, status: 'completed', reason: undefined },
  ]);
  const now = scrape(b);
  expect(now.sum('sojourn_tasks_continued_total', { cause: 'takeover' })).toBe(1);
  expect(now.sum('sojourn_tasks_ended_total', { status: 'completed' })).toBe(1);
  expect(now.sum('sojourn_task_duration_seconds_count', { status: 'completed' })).toBe(1);
  expect(now.sum('sojourn_lost_calls_total', { outcome: 'ran_again' })).toBe(1);
  await until(() => scrape(b).sum('sojourn_tasks_running') === 0);
  expect(b.log.matching(/^A task continues here$/, 'info')[0]?.fields).toEqual({
    task: sessionHash(id),
    tool: 'hold',
    cause: 'takeover',
    attempt: 2,
  });
});

test.each([
  [
    'owner_lost',
    { afterCrash: 'fail' },
    /^A task failed: its instance died, and its tool may not run again/,
  ],
  [
    'too_many_attempts',
    { afterCrash: 'run', maxAttempts: 1 },
    /^A task failed: the process of each of its runs died/,
  ],
] as const)(
  'a task that ends as %s has a line that names it, its tool and what to do',
  async (reason, of, line) => {
    const { a, b, ran, lose } = await openTwo(of, { metrics: true });
    const id = await a.client.start('hold');
    await ran(0);
    await lose();
    expect(await b.client.ended(id)).toMatchObject({
      status: 'failed',
      error: { data: { reason, mayHaveRun: true } },
    });
    const lines = b.log.matching(line, 'warn');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields).toMatchObject({
      task: sessionHash(id),
      tool: 'hold',
      status: 'failed',
      reason,
    });
    expect(scrape(b).sum('sojourn_tasks_ended_total', { status: 'failed', reason })).toBe(1);
    expect(scrape(b).sum('sojourn_lost_calls_total', { outcome: 'ended' })).toBe(1);
    expect(JSON.stringify(b.log.lines)).not.toContain(id);
  },
);

test('a stop that ends a task has its line', async () => {
  const time = createFakeTime();
  const { own, endpoint, log, effects } = await open({ timeProvider: time });
  await own.start('held');
  await until(() => effects.count('held a') === 1);
  await passing(time, endpoint.close({ timeoutMs: 0 }), 500);
  const [line] = log.matching(/^A task failed: its instance stopped/, 'warn');
  expect(line?.fields).toMatchObject({ tool: 'held', reason: 'draining' });
});

test('work that could not begin elsewhere is a throw of its tool: a line, a count and onerror', async () => {
  const { own, log, endpoint } = await open();
  const id = await own.start('cannot-detach');
  expect(await own.ended(id)).toMatchObject({
    status: 'failed',
    error: { message: 'the cluster is full' },
  });
  expect(log.matching(/^A tool threw$/, 'warn')[0]?.fields).toMatchObject({
    tool: 'cannot-detach',
    error: 'Error',
  });
  expect(log.matching(/^A task ended$/, 'debug')[0]?.fields).toMatchObject({
    task: sessionHash(id),
    status: 'failed',
  });
  expect(
    scrape({ endpoint }).sum('sojourn_handler_errors_total', { mcp_method_name: 'tools/call' }),
  ).toBe(1);
});

test('requests about tasks are counted and have lines like every other, and clients make no series', async () => {
  const { own, endpoint, log } = await open();
  const id = await own.start('held');
  await own.get(id);
  await own.update(id, {});
  await own.cancel(id);
  for (let n = 0; n < 50; n++) await own.ask('tasks/get', { taskId: `x${n}` });
  const count = (method: string, more: Readonly<Record<string, string>> = {}) =>
    scrape({ endpoint }).sum('mcp_server_operation_duration_seconds_count', {
      mcp_method_name: method,
      ...more,
    });
  await until(() => count('tasks/get') === 51);
  expect([count('tasks/update'), count('tasks/cancel')]).toEqual([1, 1]);
  expect(count('tasks/get', { error_type: '-32602' })).toBe(50);
  expect(scrape({ endpoint }).text).not.toMatch(/x49/);
  expect(scrape({ endpoint }).text).not.toContain(id);
  const lines = log.lines
    .filter(({ message }) => message === 'request')
    .map(({ fields }) => fields['method']);
  expect(lines).toEqual(
    expect.arrayContaining(['tools/call', 'tasks/get', 'tasks/update', 'tasks/cancel']),
  );
  expect(JSON.stringify(log.lines)).not.toContain(id);
});

test('without tasks there is no gauge of them', async () => {
  const { endpoint } = await serve(taskServer(new Effects()), { metrics: true });
  expect(scrape({ endpoint }).text).not.toContain('sojourn_tasks_running{');
  expect([...scrape({ endpoint }).values.keys()]).not.toContain('sojourn_tasks_running');
});

// ——— middleware ———

/** Notes each run with its task and its attempt, when it begins and when it is over. */
function noting(runs: string[]): Middleware {
  return async (request, next) => {
    if (request.method !== 'tools/call') return next();
    const { taskId: before, attempt } = request;
    try {
      return await next();
    } finally {
      runs.push(`${request.name} ${attempt}: ${before ?? 'none'}, then ${request.taskId}`);
    }
  };
}

test('middleware gets the task and the attempt of each run: the first, after a park, after a take-over', async () => {
  const runs: Record<string, string[]> = { a: [], b: [] };
  const { a, b, ran, takenOver } = await openTwo({ afterCrash: 'run' }, (by) => ({
    middleware: noting(runs[by] ?? []),
  }));
  const held = await a.client.start('hold');
  await ran(0);
  (await takenOver(held)).answer('from b');
  await b.client.ended(held);
  expect(runs['b']).toEqual([`hold 2: ${held}, then ${held}`]);

  const own: string[] = [];
  const served = await serve(taskServer(new Effects()), {
    tasks: true,
    middleware: noting(own),
  });
  const client = new TaskClient(served.client());
  const asks = await client.start('asks');
  await client.until(asks, 'input_required');
  await client.update(asks, YES);
  await client.ended(asks);
  expect(own).toEqual([`asks 1: none, then ${asks}`, `asks 1: ${asks}, then ${asks}`]);
  await client.call('greet', { name: 'Ada' });
  expect(own.at(-1)).toBe('greet 1: none, then undefined');
});

test('a store that calls are counted for has those of tasks', async () => {
  const store = watchedStore({ durable: true });
  const { own, endpoint } = await open({ store });
  await own.ended(await own.start('refuses'));
  expect(
    scrape({ endpoint }).sum('sojourn_store_call_duration_seconds_count', {
      operation: 'tasks.create',
    }),
  ).toBe(1);
});

test('what a task holds is charged while it runs, and given back when it ends, parks or is left to others', async () => {
  const time = createFakeTime();
  const limits = { perTool: { elicits: { requests: 1 }, detaches: { requests: 1 } } };
  const { own, effects, ...served } = await open({ timeProvider: time, limits });
  const held = () => scrape(served).sum('sojourn_memory_bytes', { row: 'requests' });
  const isFree = () => until(() => held() === 0, { what: `${held()} bytes to be free` });
  const resumes = await own.start('elicits');
  await own.until(resumes, 'input_required');
  expect(held()).toBeGreaterThan(0);
  await time.advance(61_000);
  await isFree();
  // Nor does it hold a place of its tool.
  for (let n = 0; n < 3; n++) await own.start('detaches');
  const again = await own.start('elicits');
  await own.cancel(again);
  await isFree();
  const id = await own.start('held');
  await until(() => effects.count('held a') === 1);
  expect(held()).toBeGreaterThan(0);
  effects.open();
  await own.ended(id);
  await isFree();
  // A later run.
  await own.update(resumes, { one: { action: 'decline' }, two: { action: 'decline' } });
  await own.ended(resumes);
  await isFree();
});
