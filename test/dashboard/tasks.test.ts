/** What the page gets of tasks: their list, what their owners know, one task with its runs and steps, and its end. */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { RunningTasks, SessionPage, TaskDetail, TaskPage, TaskRow } from '../../src/dashboard/wire-pages.ts';
import type { FleetSnapshot, Hello } from '../../src/dashboard/wire.ts';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import { storeAway } from '../../src/errors.ts';
import { sessionHash } from '../../src/base/shown.ts';
import { type RunningTask, task } from '../../src/tasks/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { headText, readHead } from '../../src/tasks/task-record.ts';
import { jsonOfStep, readRuns, runsText, stepText, timesOfStep } from '../../src/tasks/step-times.ts';
import { ACTION, ask, BEARER, jsonOf, mount, openStream } from '../kit/dashboard.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { Effects, TaskClient, taskServer, text } from '../tasks/kit.ts';

useSharedStores();

const WAIT = { timeoutMs: 20_000 };
const as = (user: string) => ({ headers: { 'x-user': user } });

async function instance(effects: Effects, name: string, options: McpEndpointOptions) {
  const given = { tasks: true, leaseMs: 9_000, ...options };
  const served = await serve(taskServer(effects, name), given, { face: 'node', auth: userHeader });
  const port = await mount(served.endpoint);
  const get = async <T>(path: string): Promise<T> => jsonOf<T>(await ask(port, `/api/${path}`, { headers: BEARER }));
  const cancel = (hash: string) => ask(port, `/api/tasks/${hash}/cancel`, { method: 'POST', headers: ACTION });
  return { ...served, port, get, cancel, id: () => served.endpoint.health().instance };
}

const rowOf = ({ tasks }: TaskPage, id: string) => tasks.find(({ hash }) => hash === sessionHash(id)) as TaskRow;

describe.each(storeKinds)('on the store %s', (kind) => {
  test(
    'tasks are listed, shown and cancelled from another instance, without their ids',
    { timeout: 60_000 },
    async () => {
      const connect = sharedStore(kind);
      const effects = new Effects();
      const [one, two] = [
        await instance(effects, 'one', { store: connect() }),
        await instance(effects, 'two', { store: connect() }),
      ];
      const [ada, bob] = [new TaskClient(one.client(as('ada'))), new TaskClient(one.client(as('bob')))];
      const resumes = await ada.start('resumes');
      const [elicits, asks, detaches] = [
        await bob.start('elicits'),
        await bob.start('asks'),
        await bob.start('detaches'),
      ];
      await until(() => effects.count('resumes one') === 1, WAIT);
      await Promise.all([bob.until(elicits, 'input_required'), bob.until(asks, 'input_required')]);
      const page = await until(async () => {
        const found = await two.get<TaskPage>('tasks');
        return rowOf(found, detaches).status === 'detached' && rowOf(found, asks).state === 'parked'
          ? found
          : undefined;
      }, WAIT);
      expect(page?.tasks).toHaveLength(4);
      const running = { status: 'working', state: 'running', owner: one.id(), attempt: 1, maxAttempts: 5 };
      expect(rowOf(page as TaskPage, resumes)).toMatchObject({ ...running, tool: 'resumes', userName: 'ada' });
      expect(rowOf(page as TaskPage, elicits)).toMatchObject({ status: 'input_required', asks: ['one', 'two'] });
      expect(rowOf(page as TaskPage, asks)).toMatchObject({ steps: 0 });
      expect(rowOf(page as TaskPage, asks)).not.toHaveProperty('owner');

      // Its owner knows how many steps it has.
      const owners = await until(async () => {
        const { tasks } = await two.get<RunningTasks>('running');
        return tasks.length === 2 ? tasks : undefined;
      }, WAIT);
      expect(owners?.find(({ hash }) => hash === sessionHash(resumes))).toMatchObject({ steps: 1, now: [] });

      const hash = sessionHash(resumes);
      const detail = await two.get<TaskDetail>(`tasks/${hash}`);
      expect(detail).toMatchObject({ hash, resume: true, round: 1, steps: 1, questions: [] });
      expect(detail.runs).toEqual([
        { run: 1, attempt: 1, round: 1, owner: one.id(), begin: expect.any(Number) as number },
      ]);
      expect(detail.bars).toEqual([
        { name: 'first', run: 1, begin: expect.any(Number) as number, ms: expect.any(Number) as number },
      ]);
      const asked = await two.get<TaskDetail>(`tasks/${sessionHash(elicits)}`);
      expect(asked.questions).toEqual(
        ['one', 'two'].map((name) => ({ name, method: 'elicitation/create', answered: false })),
      );
      // It has recorded no step: its record says when it was created, and when it parked.
      const parked = await two.get<TaskDetail>(`tasks/${sessionHash(asks)}`);
      expect(parked.runs).toEqual([{ run: 1, attempt: 1, round: 1, begin: parked.createdAt, end: parked.updatedAt }]);
      const shown = JSON.stringify([page, detail, asked, parked]);
      for (const secret of [resumes, elicits, asks, detaches, 'Sure?', 'sub']) expect(shown).not.toContain(secret);

      const listed = async (): Promise<string | undefined> => rowOf(await two.get<TaskPage>('tasks'), resumes)?.status;
      expect(await listed()).toBe('working');
      expect((await two.cancel(hash)).status).toBe(200);
      expect(await listed()).not.toBe('working');
      expect(two.log.matching(/^A task is cancelled/).map(({ fields }) => fields)).toEqual([{ task: hash }]);
      await ada.until(resumes, 'cancelled');
      expect(await two.get<TaskDetail>(`tasks/${hash}`)).toMatchObject({
        tool: 'resumes',
        ended: { status: 'cancelled' },
      });
      expect((await two.cancel(hash)).status).toBe(409);
      expect((await two.cancel('0123456789ab')).status).toBe(404);
    },
  );
});

/** Two instances whose handlers the test ends. `kill`: the first one is dead for the others. */
async function pair(records: boolean) {
  const inner = memory();
  const store = watchedStore({ inner, durable: true, inProcess: false });
  const held: Array<() => void> = [];
  const factory = ({ serverOptions }: Pick<McpEndpointContext, 'serverOptions'>): McpServer => {
    const server = new McpServer({ name: 'films', version: '1' }, serverOptions);
    const film = async (_: object, _ctx: unknown, own: RunningTask) => {
      if (records) await own.step('frames', () => 1);
      await own.step(`film ${own.attempt}`, () => new Promise<void>((answer) => held.push(answer)));
      return text('done');
    };
    server.registerTool('film', { inputSchema: z.object({}) }, task(film, { resume: true }));
    return server;
  };
  const options = { tasks: true, leaseMs: 900 };
  const one = await serve(factory, { ...options, store });
  const two = await serve(factory, { ...options, store: watchedStore({ inner, durable: true, inProcess: false }) });
  const kill = async (): Promise<void> => {
    store.before['instances.renew'] = store.before['instances.announce'] = () => {
      throw storeAway('it is a test');
    };
    await store.views[0]?.instances.leave(one.endpoint.health().instance);
  };
  return { one, two, held, kill };
}

test.each([true, false])(
  'a task whose owner died has a lane for each run; the first recorded a step: %s',
  async (records) => {
    const { one, two, held, kill } = await pair(records);
    const port = await mount(two.endpoint);
    const [client, other] = [new TaskClient(one.client()), new TaskClient(two.client())];
    const id = await client.start('film');
    const get = async () => jsonOf<TaskDetail>(await ask(port, `/api/tasks/${sessionHash(id)}`, { headers: BEARER }));
    const dead = one.endpoint.health().instance;
    await until(() => held.length === 1, WAIT);
    await kill();
    await until(async () => (await other.get(id), held.length === 2), WAIT);
    const detail = await until(async () => {
      const found = await get();
      return found.runs?.length === 2 && found.bars?.some(({ ms }) => ms === undefined) === true ? found : undefined;
    }, WAIT);
    expect(detail?.runs?.map(({ run, attempt, owner, end }) => [run, attempt, owner, end])).toEqual([
      [1, 1, dead, undefined],
      [2, 2, two.endpoint.health().instance, undefined],
    ]);
    const [first, second] = detail?.runs ?? [];
    expect((second?.begin ?? 0) - (first?.begin ?? 0)).toBeGreaterThan(0);
    expect(detail?.bars?.map(({ name, run }) => `${name} in ${run}`)).toEqual([
      ...(records ? ['frames in 1'] : []),
      'film 2 in 2',
    ]);
    for (const answer of held) answer();
    await other.ended(id);
    // The steps went with the end.
    expect(await get()).toEqual({
      hash: sessionHash(id),
      at: expect.any(Number) as number,
      tool: 'film',
      createdAt: detail?.createdAt,
      ended: { status: 'completed', at: expect.any(Number) as number },
    });
  },
);

test('the page knows how many tasks there are, and whether the option is on', async () => {
  const effects = new Effects();
  const store = memory();
  const [on, off] = [await instance(effects, 'on', { store }), await instance(effects, 'off', { store, tasks: false })];
  const client = new TaskClient(on.client(as('ada')));
  const id = await client.start('held');
  const [page, other] = [await openStream(on.port, '/api/stream'), await openStream(off.port, '/api/stream')];
  await until(() => page.of<FleetSnapshot>('fleet').at(-1)?.tasks === 1 && other.of('fleet').length > 0, WAIT);
  expect(page.of<Hello>('hello').map(({ tasks }) => tasks)).toEqual([true]);
  expect(other.of<Hello>('hello')[0]).not.toHaveProperty('tasks');
  expect(other.of<FleetSnapshot>('fleet').at(-1)).not.toHaveProperty('tasks');
  // A rolling deploy switches it on at one instance after the other.
  expect((await off.get<TaskPage>('tasks')).tasks).toHaveLength(1);
  expect((await off.cancel(sessionHash(id))).status).toBe(409);
});

test(
  'a scan comes in parts of 100 tasks, whose cursors are no ids, and no long text is in a row',
  { timeout: 60_000 },
  async () => {
    const effects = new Effects();
    const store = memory();
    const { get, client, port } = await instance(effects, 'one', { store });
    const ada = new TaskClient(client(as('ada'.repeat(100))));
    const ids = await Promise.all(Array.from({ length: 130 }, () => ada.start('asks')));
    const first = await get<TaskPage>('tasks');
    expect(first.tasks).toHaveLength(100);
    for (const id of ids) expect(first.nextCursor).not.toContain(id);
    const second = await get<TaskPage>(`tasks?cursor=${encodeURIComponent(first.nextCursor ?? '')}`);
    expect(new Set([...first.tasks, ...second.tasks].map(({ hash }) => hash))).toEqual(new Set(ids.map(sessionHash)));
    expect(second).not.toHaveProperty('nextCursor');
    expect(Math.max(...first.tasks.map(({ userName = '' }) => userName.length))).toBe(64);
    // A cursor of tasks is none of sessions.
    for (const path of [`tasks?cursor=x`, `sessions?cursor=${encodeURIComponent(first.nextCursor ?? '')}`])
      expect([path, (await ask(port, `/api/${path}`, { headers: BEARER })).status]).toEqual([path, 400]);
    expect((await get<SessionPage>('sessions')).sessions).toEqual([]);
  },
);

test('a run and a step take at most 64 bytes each, and of many runs the latest 100 are kept', () => {
  const at = Date.now();
  const runs = Array.from({ length: 300 }, (_, n) => ({
    run: n + 1,
    attempt: 100,
    round: 100,
    begin: at,
    end: at + 9_999_999_999,
    owner: 'o'.repeat(200),
  }));
  const kept = runsText(runs);
  expect(Math.max(...kept.split('\n').map((line) => Buffer.byteLength(line)))).toBeLessThanOrEqual(63);
  expect(readRuns(kept).map(({ run }) => run)).toEqual(runs.slice(-100).map(({ run }) => run));
  expect(readRuns(kept)[0]).toEqual({ ...runs[200], owner: 'o'.repeat(22) });
  const text = stepText({ run: 300, begin: at, ms: 2_592_000_000 }, '"a b c"');
  expect(Buffer.byteLength(text) - 7).toBeLessThanOrEqual(64);
  expect([jsonOfStep(text), timesOfStep(text)]).toEqual(['"a b c"', { run: 300, begin: at, ms: 2_592_000_000 }]);
  expect(readRuns('another build')).toEqual([]);
  const head = { state: 'parked', attempt: 1, round: 2, steps: 3 } as const;
  expect([headText(head), readHead(headText(head))]).toEqual(['parked 1 2 3', head]);
});
