/** Two instances and one task: lapses, races, deaths in a row, builds that lack the tool. */
import { expect, onTestFinished, test } from 'vitest';
import type { McpEndpointContext, Notice } from '../../../src/index.ts';
import type { TaskToRun } from '../../../src/base/options/tasks-options.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { createFakeTime, openLab } from '../../../src/testing/index.ts';
import { serve } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { later, passing } from '../../kit/moving-time.ts';
import { until } from '../../kit/until.ts';
import { cut, gate, mend, watchedStore } from '../../kit/watched-store.ts';
import { userToken } from '../../kit/issuer.ts';
import { Effects, TaskClient, taskServer, taskTool } from './kit.ts';
import { openTwo as open } from './two-instances.ts';

const PATIENT = { timeoutMs: 20_000 };

interface Started {
  readonly user: string;
  readonly id: string;
}

test('an instance that lost its lease loses its task to another one: its handler is aborted, and records no more', async () => {
  const { a, ran, takenOver } = await open();
  const id = await a.client.start('hold');
  const first = await ran(0);
  await first.own.step('before', () => 1);
  const second = await takenOver(id);
  expect(second).toMatchObject({ by: 'b', attempt: 2 });
  expect(await second.own.step('before', () => 2)).toBe(1);
  mend(a.store);
  await until(() => first.own.signal?.aborted === true, PATIENT);
  let began = false;
  await expect(first.own.step('late', () => (began = true))).rejects.toThrow(
    /is not recorded|another instance/,
  );
  expect(began).toBe(false);
  first.answer('from a');
  second.answer('from b');
  expect(await a.client.ended(id)).toMatchObject({ result: { content: [{ text: 'from b' }] } });
});

test('a build that lacks the tool fails no task, which begins at another one, although its client asks the first all the time', async () => {
  const time = createFakeTime();
  const { a, b, runs, lose } = await open({ afterCrash: 'run' }, { timeProvider: time }, ['b']);
  const id = await a.client.start('hold');
  await until(() => runs.length === 1);
  await lose();
  const claims = () => b.store.calls.filter(({ call }) => call === 'tasks.claim').length;
  await until(async () => (await time.advance(500), await b.client.get(id), claims() > 0));
  mend(a.store);
  for (let n = 0; n < 60 && runs.length === 1; n++) {
    await time.advance(1_000);
    expect(await b.client.get(id)).toMatchObject({ status: 'working' });
  }
  expect(runs.map(({ by }) => by)).toEqual(['a', 'a']);
  expect(claims()).toBe(1);
  runs.forEach(({ answer }) => answer('done'));
  await until(async () => (await b.client.get(id))['status'] === 'completed');
});

test('a task whose callers have no place at an instance is not claimed there', async () => {
  const places = (by: string) => ({ limits: { runningTasks: by === 'a' ? 8 : 2 } });
  const { a, b, runs, ran, lose } = await open({ afterCrash: 'run' }, places);
  const ids = [await a.client.start('hold'), await a.client.start('hold')];
  await ran(1);
  await lose();
  const look = () => Promise.all(ids.map((id) => b.client.get(id)));
  const claims = () => b.store.calls.filter(({ call }) => call === 'tasks.claim').length;
  await until(async () => (await look()) && runs.length === 3, PATIENT);
  const reads = () => b.store.calls.filter(({ call }) => call === 'tasks.read').length;
  for (const until = reads() + 20; reads() < until;) await look();
  expect(claims()).toBe(1);
  (await ran(2)).answer('the first');
  await until(async () => (await look()) && runs.length === 4, PATIENT);
  expect(claims()).toBe(2);
  (await ran(3)).answer('the second');
  for (const id of ids) expect(await b.client.ended(id)).toMatchObject({ status: 'completed' });
});

test('after a takeover the tasks of two addresses without a user take places of two shares', async () => {
  const places = (by: string) => ({ limits: { runningTasks: by === 'a' ? 16 : 4 } });
  const { a, b, runs, ran, lose } = await open({ afterCrash: 'run' }, places);
  const many = [1, 2, 3].map(async () => a.from('127.0.0.2').start('hold'));
  const ids = [...(await Promise.all(many)), await a.from('127.0.0.3').start('hold')];
  await ran(3);
  await lose();
  const look = () => Promise.all(ids.map((id) => b.client.get(id)));
  await until(async () => (await look()) && runs.length === 7, PATIENT);
  // Half of the places that the others leave: 2 for the first address, 1 for the second.
  const taken = (await look()).map(({ status }) => status);
  expect(taken).toEqual(taken.map(() => 'working'));
  expect(runs.slice(4).map(({ by }) => by)).toEqual(['b', 'b', 'b']);
});

test('a cancel at another instance aborts the handler here, within a moment', async () => {
  const { a, b, ran } = await open();
  const id = await a.client.start('hold');
  const { own, answer } = await ran(0);
  expect((await b.client.cancel(id)).result).toEqual({ resultType: 'complete' });
  await until(() => own.signal?.aborted === true);
  answer('too late');
  expect(await a.client.get(id)).toMatchObject({ status: 'cancelled' });
});

test('an instance that was frozen for longer than its lease asks for its task before it runs the next step', async () => {
  const { a, b, ran, lose } = await open();
  const id = await a.client.start('hold');
  const { own } = await ran(0);
  await lose();
  // As in a process that wakes: it has heard of nothing yet.
  cut(a.store, 'tasks.read');
  await until(() => a.endpoint.health().state !== 'serving');
  await b.client.cancel(id);
  let began = false;
  const stepped = own.step('late', () => (began = true));
  const detached = own.detach(() => (began = true));
  mend(a.store);
  await expect(stepped).rejects.toThrow(/stopped/);
  await expect(detached).rejects.toThrow(/stopped/);
  expect(began).toBe(false);
});

test('tasks.authInfo that never answers for one user delays nothing of others, and ends after hookTimeoutMs', async () => {
  let hangsFor: string | undefined;
  const asked: number[] = [];
  const authorize = ({ userName }: TaskToRun) => {
    if (userName === hangsFor) return new Promise<undefined>(() => asked.push(time.now()));
    return { token: '', clientId: 'later', scopes: [] };
  };
  const time = createFakeTime();
  const { a, b, runs } = await open({ afterCrash: 'run' }, (by) => ({
    auth: { verify: userToken },
    tasks: { authInfo: authorize },
    limits: { runningTasks: by === 'a' ? 100 : 40 }, // one user gets half
    timeProvider: time,
    hookTimeoutMs: 4_000,
  }));
  // It waits for the handlers that run then.
  onTestFinished(() => passing(time, b.endpoint.close({ timeoutMs: 0 }), 500));
  const tasks = await Promise.all(
    ['ada', 'bob'].map(async (user) => ({ user, id: await a.as(user).start('hold') })),
  );
  // The sweep comes to tasks that are due together in the order of their ids, which begin with a hash of the user.
  const [slow, other] = tasks.toSorted((one, two) => (one.id < two.id ? -1 : 1)) as [
    Started,
    Started,
  ];
  hangsFor = slow.user;
  await Promise.all(Array.from({ length: 29 }, () => a.as(slow.user).start('hold')));
  await until(() => runs.length === 31);
  await passing(time, a.endpoint.drain({ timeoutMs: 200 }), 50);
  await later(time, () => runs.length > 31, 'the task of the other user', 50);
  expect(asked.length).toBe(20);
  expect(time.now() - (asked[0] as number)).toBeLessThan(4_000);
  const run = runs[31] as (typeof runs)[number];
  run.answer('done');
  expect(await b.as(other.user).ended(other.id)).toMatchObject({ status: 'completed' });
  expect(run.own.taskId).toBe(other.id);
  expect(asked.length).toBe(20);
  hangsFor = undefined;
  await later(time, async () => (await b.as(slow.user).get(slow.id)) && runs.length > 32);
});

test.each([
  ['begins its third run', 1],
  ['ends where it is cancelled', 0],
])('after the second death of its process a task waits, and then %s', async (_, runs) => {
  const [seen, made] = [[] as Notice[], [] as McpEndpointContext[]];
  const server = toolServer(
    { hold: taskTool(() => new Promise(() => {}), { afterCrash: 'run' }) },
    (_server, ctx) => made.push(ctx),
  );
  const lab = await openLab(server, {
    tasks: true,
    observe: (notice: Notice) => seen.push(notice),
  });
  onTestFinished(() => lab.close());
  const [a] = await lab.start(1);
  const held = await a.callTask('hold');
  const [b] = await lab.start(1);
  const lost = (times: number) => async () => {
    await lab.advance(500);
    return seen.filter(({ kind }) => kind === 'callLost').length === times;
  };
  await lab.kill(a);
  await lab.until(lost(1), { pollMs: 1 });
  await lab.start(1);
  await lab.kill(b);
  const before = made.length;
  await lab.until(lost(2), { pollMs: 1 });
  expect((await held.status()).status).toBe('working');
  expect(made.length).toBe(before);
  if (runs === 0) await held.cancel();
  await lab.advance(10_000);
  expect(made.length - before).toBe(runs);
});

// ——— each write held at the point where it matters ———

test('an instance that wakes in a take-over leaves the steps of the run that replaced it', async () => {
  const { a, b, runs, ran, lose } = await open();
  const id = await b.client.start('hold');
  await (await ran(0)).own.step('first', () => 1);
  const reads = gate();
  a.store.before['tasks.replay'] = reads.hook;
  await lose(b);
  await until(async () => (await a.client.get(id)) && reads.waiting > 0, PATIENT);
  mend(b.store);
  await lose(a);
  await until(async () => (await b.client.get(id)) && runs.length === 2, PATIENT);
  const second = await ran(1);
  await second.own.step('second', () => 2);
  reads.open();
  mend(a.store);
  await a.client.get(id);
  await second.own.step('third', () => 3);
  second.answer('from b');
  expect(await b.client.ended(id)).toMatchObject({ result: { content: [{ text: 'from b' }] } });
});

test('an instance that stops while it asks whether a task may run has not begun it', async () => {
  const [inner, asked] = [memory(), gate()];
  const member = async (hook: () => unknown) => {
    const authorize = async () => (await hook(), { token: '', clientId: 'c', scopes: [] });
    const store = watchedStore({ inner, durable: true });
    const served = await serve(taskServer(new Effects()), {
      tasks: { authInfo: authorize },
      store,
    });
    return { ...served, client: new TaskClient(served.client()) };
  };
  const [a, b] = [await member(() => {}), await member(asked.hook)];
  const id = await a.client.start('asks');
  await a.client.until(id, 'input_required');
  await b.client.update(id, { sure: { action: 'accept', content: { ok: true } } });
  await until(() => asked.waiting > 0);
  await b.endpoint.close({ timeoutMs: 0 });
  expect(await a.client.ended(id)).toMatchObject({ status: 'completed' });
  asked.open();
});

test.each([
  ['runs', 'heeds the hints of its tool', 'a'],
  ['is being stored', 'does not begin there', 'b'],
])('a task that %s while its instance begins to drain %s', async (state, _, by) => {
  const { a, b, runs, ran } = await open({});
  const creates = gate();
  if (state !== 'runs') a.store.before['tasks.create'] = creates.hook;
  const called = a.client.start('hold');
  await (state === 'runs' ? ran(0) : until(() => creates.waiting > 0));
  const drained = a.endpoint.drain({ timeoutMs: 60_000 });
  creates.open();
  const id = await called;
  if (by === 'a') await until(async () => (await ran(0)).own.signal?.aborted === true, PATIENT);
  expect(await drained).toEqual({ released: 0, interrupted: 0 });
  await until(async () => (await b.client.get(id)) && runs.at(-1)?.by === 'b', PATIENT);
  runs.forEach(({ answer }) => answer('saved'));
  expect(await b.client.ended(id)).toMatchObject({ status: 'completed' });
  expect(runs[0]?.by).toBe(by);
});

test('a task that may run again and is still being stored when the time of a drain is over is left to another instance', async () => {
  const { a, b, runs } = await open({ afterCrash: 'run' });
  const creates = gate();
  a.store.before['tasks.create'] = creates.hook;
  const called = a.client.start('hold');
  await until(() => creates.waiting > 0);
  expect(await a.endpoint.drain({ timeoutMs: 0 })).toEqual({ released: 0, interrupted: 1 });
  creates.open();
  const id = await called;
  await until(async () => (await b.client.get(id)) && runs.length > 0, PATIENT);
  expect(runs.map(({ by }) => by)).toEqual(['b']);
  runs[0]?.answer('done');
  expect(await b.client.ended(id)).toMatchObject({ status: 'completed' });
});

test(
  'a state that is set thousands of times keeps its last value, and no step is lost',
  { timeout: 60_000 },
  async () => {
    const { a, b, ran, takenOver } = await open();
    const id = await a.client.start('hold');
    const first = await ran(0);
    await first.own.step('early', () => 1);
    for (let n = 0; n < 4_500; n++) await first.own.state.set('n', n);
    await first.own.step('late', () => 2);
    const { own, answer } = await takenOver(id);
    const again = await Promise.all(
      ['early', 'late'].map((name) => own.step(name, () => 'ran again')),
    );
    expect([...again, await own.state.get('n')]).toEqual([1, 2, 4_499]);
    answer('done');
    expect(await b.client.ended(id)).toMatchObject({ status: 'completed' });
  },
);
