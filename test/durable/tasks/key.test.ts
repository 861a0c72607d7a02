/** `key` of `task()`: calls of a user with the same key and arguments have one task. */
import type { ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { storeUnavailable } from '../../../src/base/errors.ts';
import { once } from '../../../src/durable/once/index.ts';
import { type RunningTask, task, type TaskOptions } from '../../../src/durable/tasks/index.ts';
import { createFakeTime, openLab } from '../../../src/testing/index.ts';
import { toolCall } from '../../kit/lab.ts';
import type { JsonRpcAnswer } from '../../kit/raw-client.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';
import {
  type Effects,
  type Fields,
  type Handler,
  held,
  officialClient,
  openRun,
  QUESTION,
  resultOf,
  TaskClient,
  taskTool,
  text,
} from './kit.ts';

type Order = { readonly id: string };
type Options = TaskOptions<[Order, ServerContext]>;
const KEY: Options = { key: ({ id }) => id };
const SHARED = { key: () => 'o-1', anonymous: 'shared' as const };

/** A server whose tools wait for the test, with or without a question before. */
function payments(effects: Effects, options: Options = KEY) {
  const pay = async ({ id }: Order, _ctx: ServerContext, own: RunningTask) => {
    effects.note(`pay ${id}`);
    if (id.startsWith('held')) await effects.wait(own.signal);
    if (id === 'bad') throw new Error('no money');
    return `paid ${id}`;
  };
  const asks = async ({ id }: Order, _ctx: ServerContext, own: RunningTask) => {
    effects.note(`asks ${id}`);
    return (await own.elicit('sure', QUESTION)).action;
  };
  return toolServer({
    pay: taskTool(pay, options),
    refund: taskTool(pay, options),
    asks: taskTool(asks, options),
  });
}

async function open(options: Options = KEY, endpoint: McpEndpointOptions = {}) {
  const effects = held();
  const served = await serve(
    payments(effects, options),
    { tasks: true, ...endpoint },
    { face: 'node', auth: userHeader },
  );
  const as = (user?: string) =>
    served.client({ headers: user === undefined ? {} : { 'x-user': user } });
  /** A client with tasks. */
  const tasksOf = (user?: string) => new TaskClient(as(user));
  /** One without. */
  const plainOf = (user?: string) =>
    new TaskClient(as(user), { capabilities: { elicitation: { form: {} } } });
  const session = async (user?: string) => {
    const client = as(user);
    await client.initialize();
    return client;
  };
  return { ...served, effects, as, tasksOf, plainOf, session };
}

const said = (answer: JsonRpcAnswer): unknown =>
  (resultOf(answer)['content'] as Fields[] | undefined)?.[0]?.['text'];

describe('clients with tasks', () => {
  test('get the task of an earlier call, running or ended, and one run', async () => {
    const [store, creates] = [watchedStore(), gate()];
    store.before['tasks.create'] = creates.hook;
    const { tasksOf, effects } = await open(KEY, { limits: { perUser: { tasks: 1 } }, store });
    const ada = tasksOf('ada');
    const starts = [ada, tasksOf('ada'), tasksOf('ada')].map((one) =>
      one.start('pay', { id: 'held' }),
    );
    await until(() => creates.waiting > 0);
    // By then the others have come, too.
    await ada.ask('server/discover', {});
    creates.open();
    const [id = '', ...others] = await Promise.all(starts);
    expect([...others, await ada.start('pay', { id: 'held' })]).toEqual([id, id, id]);
    effects.open();
    expect(await ada.ended(id)).toMatchObject({ status: 'completed', result: text('paid held') });
    const again = resultOf(await ada.call('pay', { id: 'held' }));
    expect(again).toMatchObject({ resultType: 'task', taskId: id, status: 'completed' });
    expect(again).not.toHaveProperty('result');
    expect(effects.all).toEqual(['pay held']);
  });

  test('a call whose creation was refused leaves its key free: the next one runs', async () => {
    const store = watchedStore();
    const { tasksOf, effects } = await open(KEY, { store, maxWaitMs: 0 });
    store.after['tasks.create'] = () => {
      throw storeUnavailable('the reply was lost');
    };
    const ada = tasksOf('ada');
    const refused = async () => (await ada.call('pay', { id: 'x' })).error?.data;
    expect(await refused()).toMatchObject({ reason: 'store_unavailable' });
    expect(await refused()).toMatchObject({ reason: 'store_unavailable' });
    store.after['tasks.create'] = () => undefined;
    await until(async () => (await refused()) === undefined);
    const { taskId } = resultOf(await ada.call('pay', { id: 'x' }));
    expect(await ada.ended(String(taskId))).toMatchObject({
      status: 'completed',
      result: text('paid x'),
    });
    expect(effects.all).toEqual(['pay x']);
  });

  test('an end that comes after its task has expired does not end the next task with its key', async () => {
    const [store, ends, time] = [watchedStore(), gate(), createFakeTime()];
    store.before['tasks.end'] = ends.hook;
    const options = { key: () => 'o-1', ttlMs: 60_000, keepMs: 60_000 };
    const { tasksOf, effects } = await open(options, {
      store,
      timeProvider: time,
      maxWaitMs: 600_000,
    });
    const ada = tasksOf('ada');
    const id = await ada.start('pay', { id: 'quick' });
    await until(() => ends.waiting > 0);
    await time.advance(61_000);
    expect(await ada.start('pay', { id: 'held' })).toBe(id);
    ends.open();
    for (let n = 0; n < 20; n++) expect(await ada.get(id)).toMatchObject({ status: 'working' });
    effects.open();
    expect(await ada.ended(id)).toMatchObject({ status: 'completed', result: text('paid held') });
  });

  test('other arguments under the key are refused, other keys, tools and users have their own task', async () => {
    const { tasksOf, effects } = await open();
    const ada = tasksOf('ada');
    const ids = [
      await ada.start('pay', { id: 'held' }),
      await ada.start('pay', { id: 'held2' }),
      await ada.start('refund', { id: 'held' }),
      await tasksOf('bob').start('pay', { id: 'held' }),
    ];
    expect(new Set(ids).size).toBe(4);
    const refused = await ada.call('pay', { id: 'held', cents: 5 });
    expect(refused.error).toMatchObject({ code: -32602, data: { reason: 'once_conflict' } });
    effects.open();
    await ada.ended(String(ids[0]));
    expect((await ada.call('pay', { id: 'held', cents: 5 })).error?.data).toMatchObject({
      reason: 'once_conflict',
    });
    expect(effects.all).toHaveLength(4);
  });

  test("without a user a call is refused, or its key is that of its session, unless keys are 'shared'", async () => {
    const { tasksOf, session, effects } = await open();
    expect((await tasksOf().call('pay', { id: 'x' })).error?.data).toMatchObject({
      reason: 'once_needs_user',
    });
    expect(effects.all).toEqual([]);
    const pay = { name: 'pay', arguments: { id: 'x' } };
    const [one, two] = [await session(), await session()];
    for (const client of [one, one, two])
      expect(said((await client.call('tools/call', pay)).message)).toBe('paid x');
    expect(effects.all).toEqual(['pay x', 'pay x']);
    const shared = await open({ ...KEY, anonymous: 'shared' });
    const id = await shared.tasksOf().start('pay', { id: 'x' });
    expect(await shared.tasksOf().start('pay', { id: 'x' })).toBe(id);
  });

  test('a slow tool answers a quick call with its result, and a slow one with its task', async () => {
    const { tasksOf, effects } = await open({ ...KEY, when: { slowerThanMs: 300 } });
    const ada = tasksOf('ada');
    expect(said(await ada.call('pay', { id: 'quick' }))).toBe('paid quick');
    expect(said(await ada.call('pay', { id: 'quick' }))).toBe('paid quick');
    const id = await ada.start('pay', { id: 'held' });
    effects.open();
    expect(await ada.ended(id)).toMatchObject({ result: text('paid held') });
    expect(said(await ada.call('pay', { id: 'held' }))).toBe('paid held');
    expect(effects.all).toEqual(['pay quick', 'pay held']);
  });

  test('limits of a tool count the run, not the call that waits for it', async () => {
    const limits = { perTool: { pay: { requests: 1 } } };
    const { tasksOf, plainOf, effects } = await open(
      { ...KEY, when: { slowerThanMs: 100 } },
      { limits },
    );
    expect(said(await plainOf('ada').call('pay', { id: 'x' }))).toBe('paid x');
    await tasksOf('ada').start('pay', { id: 'held' });
    const refused = await tasksOf('ada').call('pay', { id: 'y' });
    expect(refused.error?.data).toMatchObject({ reason: 'tool_limit' });
    effects.open();
    await until(async () => said(await plainOf('ada').call('pay', { id: 'y' })) === 'paid y');
  });
});

test('a task that is cancelled while the reply to its creation is late stops at once', async () => {
  const [store, replies, waits] = [watchedStore(), gate(), held()];
  const runs: RunningTask[] = [];
  const { client, endpoint } = await openRun((own) => waits.wait(void runs.push(own)), SHARED, {
    store,
  });
  store.after['tasks.create'] = replies.hook;
  const started = client.start('run');
  await until(() => replies.waiting > 0);
  const [made] = (await endpoint.tasks.list()).tasks;
  await client.cancel(String(made?.taskId));
  replies.open();
  expect(await started).toBe(made?.taskId);
  await until(() => runs.every(({ signal }) => signal?.aborted === true), { timeoutMs: 5_000 });
});

describe('clients without tasks', () => {
  test('wait for one run, of both eras together, and its result is kept for those who ask again', async () => {
    const { plainOf, session, effects } = await open();
    const legacy = await session('ada');
    const calls = [
      plainOf('ada').call('pay', { id: 'held' }),
      plainOf('ada').call('pay', { id: 'held' }),
      legacy
        .call('tools/call', { name: 'pay', arguments: { id: 'held' } })
        .then(({ message }) => message),
    ];
    await until(() => effects.count('pay held') > 0);
    await new Promise((over) => setTimeout(over, 100));
    effects.open();
    for (const answer of await Promise.all(calls)) expect(said(answer)).toBe('paid held');
    expect(said(await plainOf('ada').call('pay', { id: 'held' }))).toBe('paid held');
    expect(effects.all).toEqual(['pay held']);
  });

  test.each(['', 'x'.repeat(513), 7, undefined])(
    'hear what is wrong with the key %j, as clients with tasks do',
    async (key) => {
      const { plainOf, tasksOf, session, effects } = await open({ key: () => key as string });
      const call = { name: 'pay', arguments: { id: 'x' } };
      const answers = [
        await tasksOf('ada').call('pay', { id: 'x' }),
        await plainOf('ada').call('pay', { id: 'x' }),
        (await (await session('ada')).call('tools/call', call)).message,
      ];
      for (const answer of answers) {
        expect(answer.result).toMatchObject({ isError: true });
        expect(said(answer)).toContain('key() of the tool "pay" returned');
      }
      expect(effects.all).toEqual([]);
    },
  );

  test('a session gets no member of later revisions', async () => {
    const { session, plainOf } = await open();
    const { message } = await (
      await session('ada')
    ).call('tools/call', { name: 'pay', arguments: { id: 'x' } });
    expect(message.result).not.toHaveProperty('resultType');
    expect(resultOf(await plainOf('ada').call('pay', { id: 'x' }))).toHaveProperty(
      'resultType',
      'complete',
    );
  });

  test('a client that left asks again and gets the result of the run that went on', async () => {
    const { plainOf, as, effects } = await open();
    const leaving = as('ada');
    const left = new TaskClient(leaving, { capabilities: {} }).call('pay', { id: 'held' });
    left.catch(() => {});
    await until(() => effects.count('pay held') === 1);
    leaving.close();
    const again = plainOf('ada').call('pay', { id: 'held' });
    await new Promise((over) => setTimeout(over, 100));
    effects.open();
    expect(said(await again)).toBe('paid held');
    expect(effects.all).toEqual(['pay held']);
  });

  test('hear why their call did not become a task, as clients with tasks do', async () => {
    const { plainOf, session, tasksOf, effects } = await open(KEY, {
      limits: { perUser: { tasks: 1 } },
    });
    await tasksOf('ada').start('pay', { id: 'held' });
    const legacy = await session('ada');
    for (const args of [{ id: 'held', cents: 5 }, { id: 'other' }]) {
      const { error } = await tasksOf('ada').call('pay', args);
      expect(error?.message).toMatch(/other arguments|reached 1 tasks \(limits\.perUser\.tasks\)/);
      expect((await plainOf('ada').call('pay', args)).error).toEqual(error);
      const { message } = await legacy.call('tools/call', { name: 'pay', arguments: args });
      expect(message.error).toEqual(error);
    }
    effects.open();
  });

  test('what a run throws is the answer of every call', async () => {
    const { plainOf, session, effects } = await open();
    const failed = { isError: true, content: [{ text: 'no money' }] };
    expect(resultOf(await plainOf('ada').call('pay', { id: 'bad' }))).toMatchObject(failed);
    const legacy = await session('ada');
    const { message } = await legacy.call('tools/call', { name: 'pay', arguments: { id: 'bad' } });
    expect(resultOf(message)).toMatchObject(failed);
    expect(effects.all).toEqual(['pay bad']);
  });

  test.each(['2025-11-25', '2026-07-28'] as const)(
    'an official client of %s is asked, and answered',
    async (version) => {
      const { url, effects } = await open({ ...KEY, anonymous: 'shared' });
      const client = await officialClient(url, version);
      const { content } = await client.callTool({ name: 'asks', arguments: { id: '1' } });
      expect(content).toMatchObject([{ text: 'accept' }]);
      expect(effects.all).toEqual(['asks 1']);
    },
  );
});

test('the calls of a batch have their tasks, and each key its arguments', async () => {
  const { as, plainOf, effects } = await open();
  const client = as('ada');
  await client.initialize({ protocolVersion: '2025-03-26' });
  const call = (id: number, args: Fields) => toolCall(id, 'pay', args);
  const batch = await client.post([
    call(1, { id: 'a', cents: 5 }),
    call(2, { id: 'b' }),
    call(3, { id: 'b', cents: 1 }),
  ]);
  await batch.untilEnd();
  const answers = batch.messages;
  answers.sort((a, b) => Number(a.id) - Number(b.id));
  expect(answers.map((answer) => said(answer) ?? answer.error?.data)).toMatchObject([
    'paid a',
    'paid b',
    { reason: 'once_conflict' },
  ]);
  // The same task as of a call that comes alone.
  expect(said(await plainOf('ada').call('pay', { id: 'a', cents: 5 }))).toBe('paid a');
  expect(effects.all).toEqual(['pay a', 'pay b']);
});

test('a key that is used again when its task is forgotten has the same task id, and steps with other keys', async () => {
  const time = createFakeTime();
  const keys: string[] = [];
  const handler: Handler = (own) => own.step('pay', (key) => keys.push(key));
  const { client } = await openRun(
    handler,
    { ...SHARED, ttlMs: 1_000, keepMs: 1_000 },
    { timeProvider: time },
  );
  const id = await client.start('run');
  await client.ended(id);
  await time.advance(10_000);
  expect(await client.start('run')).toBe(id);
  await client.ended(id);
  expect(new Set(keys).size).toBe(2);
});

// ——— a task of once(): in which order, and what a kill in its effect leaves ———

test('once() of a task is refused where it is built, with the right order', () => {
  const pay = async (_order: object, _ctx: ServerContext, _own: RunningTask) => text('paid');
  const build = () =>
    once(task(pay, { afterCrash: 'run' }) as (order: object) => Promise<unknown>, SHARED);
  expect(build).toThrow(TypeError);
  expect(build).toThrow('task(once(');
});

test('a task of once() that is killed in its effect ends with what is known', async () => {
  let began = 0;
  const pay = (_order: object, _ctx: ServerContext) => {
    began += 1;
    return new Promise<ReturnType<typeof text>>(() => {});
  };
  const server = toolServer({ pay: task(once(pay, SHARED), { afterCrash: 'run' }) as never });
  const lab = await openLab(server, { tasks: true });
  onTestFinished(() => lab.close());
  const [a] = await lab.start(2);
  const paying = await a.callTask('pay', { id: 'o-1' });
  await lab.until(() => began === 1);
  await lab.kill(a);
  await lab.advance(5_000);
  await expect(paying.result()).rejects.toMatchObject({
    data: { reason: 'owner_lost', mayHaveRun: true },
  });
  expect(began).toBe(1);
});
