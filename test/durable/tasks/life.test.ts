/** What happens to a task in its life: time, outages, limits, hooks and rights. */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { storeUnavailable } from '../../../src/base/errors.ts';
import {
  currentRequest,
  type McpEndpointContext,
  type McpEndpointOptions,
} from '../../../src/index.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import type { StoredRecord } from '../../../src/stores/store.ts';
import { currentTask, type RunningTask, task } from '../../../src/durable/tasks/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { postModern } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';
import { cut, gate, mend, watchedStore } from '../../kit/watched-store.ts';
import { bearer, userToken } from '../../kit/issuer.ts';
import {
  askSure,
  CAPABILITIES,
  Effects,
  type Handler,
  held,
  openRun as open,
  QUESTION,
  TaskClient,
  taskServer,
  taskTool,
  text,
} from './kit.ts';

test.each([false, true])(
  'a handler finds its task (perSessionExecutionContext: %s)',
  async (of) => {
    const seen: Array<string | undefined> = [];
    const { client } = await open(
      () => seen.push(currentTask()?.taskId),
      {},
      { perSessionExecutionContext: of },
    );
    const id = await client.start('run');
    await client.ended(id);
    expect(seen).toEqual([id]);
    expect(currentTask()).toBeUndefined();
  },
);

test('what a handler shows is a status message, at most once a second, and the last one stays', async () => {
  const time = createFakeTime();
  const waits = held();
  const handler: Handler = async (own) => {
    own.status('one');
    own.progress(1, 2, 'two');
    await waits.wait();
    own.status('three');
    return 'done';
  };
  const store = watchedStore();
  const { client } = await open(handler, {}, { timeProvider: time, store });
  const id = await client.start('run');
  await time.advance(1_000);
  expect(await client.get(id)).toMatchObject({ status: 'working', statusMessage: 'two (1 of 2)' });
  waits.open();
  await until(async () => (await client.get(id))['status'] === 'completed');
  expect(await client.get(id)).toMatchObject({ statusMessage: 'three' });
  expect(store.calls.filter(({ call }) => call === 'tasks.save')).toHaveLength(1);
});

test('at the end of its time a task is aborted, and is unknown from then on', async () => {
  const time = createFakeTime();
  const store = watchedStore();
  const [waits, created] = [held(), gate()];
  const runs: RunningTask[] = [];
  const handler: Handler = (own) => waits.wait(void runs.push(own));
  // A timer of the system lasts 24 days, and a task 30.
  const setTimeout = (fn: () => void, ms: number) => time.setTimeout(fn, Math.min(ms, 7_000));
  const timeProvider = { ...time, setTimeout };
  const { client } = await open(
    handler,
    { ttlMs: 60_000, afterCrash: 'run' },
    { timeProvider, store },
  );
  store.before['tasks.create'] = created.hook;
  const started = client.start('run');
  await until(() => created.waiting === 1);
  await time.advance(1_000);
  created.open();
  const id = await started;
  await time.advance(58_000);
  expect(await client.get(id)).toMatchObject({ status: 'working', ttlMs: 60_000 });
  expect(runs[0]?.signal?.aborted).toBe(false);
  // For the store it has another second.
  await time.advance(1_500);
  expect(runs[0]?.signal?.aborted).toBe(true);
  await expect(client.get(id)).rejects.toThrow('no task with this id');
  expect(runs).toHaveLength(1);
});

test('a result is kept for keepMs at least, and ttlMs says so', async () => {
  const time = createFakeTime();
  const waits = held();
  const { client } = await open(
    () => waits.wait(),
    { ttlMs: 60_000, keepMs: 600_000 },
    { timeProvider: time },
  );
  const id = await client.start('run');
  await time.advance(50_000);
  waits.open();
  await until(async () => (await client.get(id))['status'] === 'completed');
  expect(await client.get(id)).toMatchObject({ ttlMs: 650_000 });
  await time.advance(599_000);
  expect(await client.get(id)).toMatchObject({ status: 'completed' });
  await time.advance(2_000);
  await expect(client.get(id)).rejects.toThrow('no task with this id');
});

test('a client that leaves while its task is being stored leaves no task that runs', async () => {
  const store = watchedStore();
  let ran = 0;
  const { client, endpoint, openSession } = await open(() => (ran += 1), {}, { store });
  const stored = gate();
  onTestFinished(() => stored.open());
  store.before['tasks.create'] = () => stored.hook();
  const raw = client.raw;
  const posted = postModern(
    raw,
    'tools/call',
    { name: 'run', arguments: {} },
    { capabilities: CAPABILITIES },
  ).catch(() => {});
  await until(() => stored.waiting > 0);
  raw.close();
  await posted;
  // The endpoint hears that the client left before it hears of another one.
  await openSession();
  stored.open();
  await until(async () => store.calls.some(({ call }) => call === 'tasks.end'));
  expect(ran).toBe(0);
  expect(await endpoint.tasks.count()).toBe(0);
});

test('work elsewhere begins once the store knows of it, and never for a task that has ended before', async () => {
  const [time, store, releases] = [createFakeTime(), watchedStore(), gate()];
  const begun: string[] = [];
  const { client } = await open(
    (own) => own.detach((id) => begun.push(id)),
    {},
    { store, timeProvider: time },
  );
  store.before['tasks.release'] = releases.hook;
  const [cancelled, kept] = [await client.start('run'), await client.start('run')];
  await until(() => releases.waiting === 2);
  await client.cancel(cancelled);
  await time.advance(5_000);
  expect(begun).toEqual([]);
  releases.open();
  await until(() => begun.length > 0);
  expect(begun).toEqual([kept]);
});

test('callTimeoutMs ends no task, and a task holds no place of limits.sessionlessRequests', async () => {
  const time = createFakeTime();
  const waits = held();
  const limits = { callTimeoutMs: 5_000, sessionlessRequests: 1 };
  const { client } = await open(() => waits.wait(), {}, { timeProvider: time, limits });
  const ids = [await client.start('run'), await client.start('run')];
  await time.advance(60_000);
  for (const id of ids) expect(await client.get(id)).toMatchObject({ status: 'working' });
  waits.open();
  for (const id of ids) await until(async () => (await client.get(id))['status'] === 'completed');
});

test('a limit of its tool counts the handler until it settles', async () => {
  const waits = held();
  const limits = { perTool: { run: { requests: 1 } } };
  const { client } = await open(() => waits.wait(), {}, { limits });
  const id = await client.start('run');
  expect((await client.call('run')).error?.message).toContain('limits.perTool');
  await client.cancel(id);
  // It ignores its signal.
  expect((await client.call('run')).error?.message).toContain('limits.perTool');
  waits.open();
  await until(async () => (await client.call('run')).error === undefined);
});

test('the request of a task is seen by its handler, also after its client has its answer', async () => {
  const waits = held();
  const seen: Array<string | null | undefined> = [];
  const handler: Handler = async () => {
    seen.push(currentRequest()?.headers.get('mcp-name'));
    await waits.wait();
    seen.push(currentRequest()?.headers.get('mcp-name'));
  };
  const { client } = await open(handler);
  const id = await client.start('run');
  await until(() => seen.length === 1);
  waits.open();
  await client.ended(id);
  expect(seen).toEqual(['run', 'run']);
});

test('a user whose right was taken back: the parked task does not continue', async () => {
  let isAllowed = true;
  const effects = new Effects();
  const { client } = await serve(taskServer(effects), {
    tasks: true,
    auth: { verify: userToken, authorize: () => isAllowed },
  });
  const ada = new TaskClient(client(bearer('ada')));
  const id = await ada.start('asks');
  await ada.until(id, 'input_required');
  isAllowed = false;
  await ada.update(id, { sure: { action: 'accept', content: { ok: true } } });
  await new Promise((over) => setTimeout(over, 200));
  expect(effects.all).toEqual(['asks 0']);
  expect(await ada.get(id)).toMatchObject({ status: 'working' });
});

describe('the store is away', () => {
  test.each(['before', 'after'] as const)(
    'at the creation, %s it is stored: the call is refused, and its handler does not run',
    async (when) => {
      const store = watchedStore();
      let ran = 0;
      const { client, endpoint } = await open(
        () => (ran += 1),
        { afterCrash: 'run' },
        { store, maxWaitMs: 100 },
      );
      await client.ask('server/discover', {});
      store[when]['tasks.create'] = () => {
        throw storeUnavailable('the cable is out');
      };
      expect((await client.call('run')).error).toMatchObject({
        data: { reason: 'store_unavailable' },
      });
      delete store[when]['tasks.create'];
      // A sweep would continue it.
      await until(async () => (await endpoint.tasks.count()) === 0, { what: 'its end' });
      expect(ran).toBe(0);
    },
  );

  test('at the creation of a slow call: it stays an ordinary call', async () => {
    const store = watchedStore();
    const handler: Handler = () => new Promise((over) => setTimeout(over, 150, 'slept'));
    const { client } = await open(
      handler,
      { when: { slowerThanMs: 20 } },
      { store, maxWaitMs: 20 },
    );
    cut(store, 'tasks.create');
    expect((await client.call('run')).result).toMatchObject({ content: [{ text: 'slept' }] });
  });

  test('for half a minute: one write of its progress is tried, and the newest is stored', async () => {
    const store = watchedStore();
    const time = createFakeTime();
    const waits = held();
    let own: RunningTask | undefined;
    const { client } = await open(
      (of) => waits.wait((own = of).signal),
      {},
      { store, timeProvider: time },
    );
    const id = await client.start('run');
    let tries = 0;
    store.before['tasks.save'] = () => {
      tries += 1;
      throw storeUnavailable('a test');
    };
    for (let n = 0; n < 120; n++) {
      own?.progress(n);
      await time.advance(250);
    }
    // A write is tried 5 to 10 times in a second. Its renewal is another one.
    expect(tries).toBeLessThan(400);
    expect(tries).toBeGreaterThan(100);
    delete store.before['tasks.save'];
    await time.advance(1_000);
    expect(await client.get(id)).toMatchObject({ statusMessage: '119' });
    waits.open();
    expect(await client.ended(id)).toMatchObject({ status: 'completed', statusMessage: '119' });
  });

  test('requests about a task wait, and then get an error that says so, and never that the task is unknown', async () => {
    const [time, store, waits] = [createFakeTime(), watchedStore(), held()];
    const { client } = await open(
      () => waits.wait(),
      {},
      { store, maxWaitMs: 300, timeProvider: time },
    );
    const id = await client.start('run');
    cut(store, 'tasks.read');
    const reads = (): number => store.calls.filter(({ call }) => call === 'tasks.read').length;
    const refused = expect(client.get(id)).rejects.toMatchObject({ code: -32000 });
    await until(() => reads() === 1);
    await time.advance(500);
    await refused;
    const before = reads();
    const answers = [
      client.ask('tasks/get', { taskId: id }),
      client.update(id, {}),
      client.cancel(id),
    ];
    await until(() => reads() === before + 3);
    mend(store);
    await time.advance(200);
    for (const { error } of await Promise.all(answers)) expect(error).toBeUndefined();
    expect(await client.get(id)).toMatchObject({ status: 'cancelled' });
  });
});

test('a handler that waits for its client parks after a minute, and holds nothing', async () => {
  const time = createFakeTime();
  let runs = 0;
  let isOver = false;
  const handler: Handler = async (own) => {
    runs += 1;
    try {
      return (await own.elicit('sure', QUESTION)).action;
    } finally {
      isOver = runs === 1;
    }
  };
  const store = watchedStore();
  const { client, endpoint } = await open(
    handler,
    { afterCrash: 'run' },
    { timeProvider: time, store },
  );
  const id = await client.start('run');
  await client.until(id, 'input_required');
  await time.advance(61_000);
  const [record] = (await store.views[0]?.tasks.list(1))?.records ?? [];
  expect(record).toMatchObject({ owner: null, head: 'parked 1' });
  expect(isOver).toBe(false);
  store.after['tasks.add'] = () => {
    delete store.after['tasks.add'];
    throw storeUnavailable('the reply is lost');
  };
  const answered = client.update(id, { sure: { action: 'decline' } });
  // Neither a sweep nor a client looks at the task.
  await until(async () => (await time.advance(1)) ?? runs === 2);
  await answered;
  await until(async () => (await client.get(id))['status'] === 'completed');
  expect(await endpoint.tasks.get(id)).toMatchObject({
    result: { content: [{ text: 'decline' }] },
  });
});

test('without the option a handler of task() runs as an ordinary call, and nothing is advertised', async () => {
  const handler: Handler = async (own) => {
    await own.state.set('k', 1);
    return `${own.taskId} ${await own.state.get('k')} ${await own.step('s', (key) => key)}`;
  };
  const { client, openSession } = await open(handler, {}, { tasks: false });
  const inSession = (await openSession()).call('tools/call', { name: 'run', arguments: {} });
  const answers = [await client.call('run'), await client.call('run'), (await inSession).message];
  const said = answers.map(
    ({ result }) => (result as { content: [{ text: string }] }).content[0].text,
  );
  for (const one of said) expect(one).toMatch(/^undefined 1 \S+:s$/);
  // Their steps have different keys.
  expect(new Set(said).size).toBe(3);
  const { result } = await client.ask('server/discover', {});
  expect(JSON.stringify(result)).not.toContain('tasks"');
  expect((await client.ask('tasks/get', { taskId: 'x' })).error?.code).toBe(-32601);
});

test('what a call has set in its state before it becomes a task is read afterwards, and by the next run', async () => {
  const seen: unknown[] = [];
  const drains = held();
  const handler: Handler = async (own) => {
    seen.push(await own.state.get('k'));
    if (own.attempt > 1 || seen.length > 1) return 'done';
    await own.state.set('k', 1);
    await own.start();
    seen.push(await own.state.get('k'));
    await drains.wait(own.signal);
    return 'not released';
  };
  const store = memory();
  const durable = (): McpEndpointOptions => ({
    store: watchedStore({ durable: true, inner: store }),
  });
  const first = await open(handler, { afterCrash: 'run', when: 'manual' }, durable());
  const second = await open(handler, { afterCrash: 'run', when: 'manual' }, durable());
  const id = await first.client.start('run');
  await until(() => seen.length === 2);
  await first.endpoint.drain({ timeoutMs: 100 });
  expect(await second.client.ended(id)).toMatchObject({ status: 'completed' });
  expect(seen).toEqual([undefined, 1, 1]);
});

test('what a handler throws because its instance drains is no failure of its tool', async () => {
  const thrown: unknown[] = [];
  const [drains, store] = [held(), memory()];
  const durable = (): McpEndpointOptions => ({
    store: watchedStore({ durable: true, inner: store }),
    onerror: (error) => thrown.push(error),
  });
  const handler: Handler = async (own) => {
    drains.note('run');
    if (drains.count('run') === 1) await drains.wait(own.signal);
    return 'done';
  };
  const first = await open(handler, { afterCrash: 'run' }, durable());
  const second = await open(handler, { afterCrash: 'run' }, durable());
  const id = await first.client.start('run');
  await until(() => drains.all.length === 1);
  await first.endpoint.drain();
  expect(await second.client.ended(id)).toMatchObject({ status: 'completed' });
  expect(first.log.matching(/threw/)).toEqual([]);
  expect(thrown).toEqual([]);
});

test('a message that is shown just before a drain is there while the task waits', async () => {
  const drains = held();
  const handler: Handler = async (own) => {
    if (own.attempt > 1) return 'done';
    own.status('first');
    await new Promise((resolve) => setTimeout(resolve, 50));
    own.status('last');
    await drains.wait(own.signal);
    return 'not released';
  };
  const store = watchedStore({ durable: true });
  const { client, endpoint } = await open(handler, { afterCrash: 'run' }, { store });
  const id = await client.start('run');
  await until(() => store.calls.some(({ call }) => call === 'tasks.save'), {
    what: 'the first message',
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await endpoint.drain({ timeoutMs: 100 });
  const record = (await store.views[0]?.tasks.read(id)) as StoredRecord | undefined;
  expect(Object.values(record?.fields ?? {})).toContain('last');
});

test('wrong options of task() are named at once', () => {
  const handler = () => text('x');
  expect(() => task('no' as never)).toThrow(TypeError);
  expect(() => task(handler, { when: 'never' as never })).toThrow('when of task()');
  expect(() => task(handler, { ttlMs: 1 })).toThrow('ttlMs of task()');
  expect(() => task(handler, { when: { slowerThanMs: -1 } })).toThrow(
    'when.slowerThanMs of task()',
  );
  expect(() => task(handler, { afterCrash: 'yes' as never })).toThrow('afterCrash of task()');
  expect(() => task(handler, { retry: true } as never)).toThrow('retry');
  expect(() => task(handler, { key: 'id' } as never)).toThrow('key of task()');
  expect(() => task(handler, { key: () => 'x', when: 'manual' })).toThrow("when: 'manual'");
  expect(() => task(handler, { key: () => 'x', anonymous: 'all' } as never)).toThrow(
    'anonymous of task()',
  );
});

test('a result from elsewhere is refused where it is too large, and the task stays', async () => {
  const { client, endpoint } = await open((own) => own.detach(() => {}));
  const id = await client.start('run');
  await expect(endpoint.tasks.complete(id, text('x'.repeat(4_194_304)))).rejects.toMatchObject({
    code: 'RESULT_TOO_LARGE',
  });
  expect(await client.get(id)).toMatchObject({ status: 'working' });
  expect(await endpoint.tasks.fail(id, new Error('gave up'))).toBe(true);
  expect(await client.get(id)).toMatchObject({ status: 'failed', statusMessage: 'gave up' });
  const other = await client.start('run');
  expect(await endpoint.tasks.fail(other, 'a text' as never)).toBe(true);
  expect(await client.get(other)).toMatchObject({ status: 'failed', statusMessage: 'a text' });
});

test('a sealed state of a parked task opens after its time: it never left the server', async () => {
  const time = createFakeTime();
  const effects = new Effects();
  const factory = (ctx: McpEndpointContext): McpServer => {
    const verify = ctx.requestState.verify;
    const server = new McpServer(
      { name: 'sealed', version: '1' },
      { ...ctx.serverOptions, requestState: { verify } },
    );
    const asks = taskTool(async (_, { mcpReq, ...rest }) => {
      const state = mcpReq.requestState<{ round: number }>();
      effects.note(`round ${state?.round ?? 0}`);
      if (state?.round === 1) return 'done';
      return askSure(await ctx.requestState.mint({ round: 1 }, { mcpReq, ...rest }));
    });
    server.registerTool('run', { inputSchema: z.object({}) }, asks as never);
    return server;
  };
  const served = await serve(factory, { tasks: true, timeProvider: time });
  const client = new TaskClient(served.client());
  const id = await client.start('run');
  await client.until(id, 'input_required');
  await time.advance(3_600_000);
  await client.update(id, { sure: { action: 'accept', content: {} } });
  await until(async () => (await client.get(id))['status'] === 'completed');
  expect(effects.all).toEqual(['round 0', 'round 1']);
});

test('a handler that ignores its cancel records no step any more, and nothing of the task stays', async () => {
  const store = watchedStore();
  const waits = held();
  const told: string[] = [];
  const { client } = await open(
    async (own) => {
      await waits.wait();
      await own.step('late', () => 1).catch((cause: Error) => told.push(cause.message));
    },
    {},
    { store },
  );
  const id = await client.start('run');
  await client.cancel(id);
  waits.open();
  await until(() => told.length === 1);
  expect(told[0]).toContain('is not recorded');
  expect(store.calls.filter(({ call }) => call === 'tasks.append')).toEqual([]);
  expect(await client.get(id)).toMatchObject({ status: 'cancelled' });
});
