/** The wire of the extension `io.modelcontextprotocol/tasks`, on every store. */
import {
  ProtocolError,
  ProtocolErrorCode,
  UrlElicitationRequiredError,
} from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { serve } from '../../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../../kit/shared-stores.ts';
import { callModern, postModern } from '../../kit/modern.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import type { Store } from '../../../src/stores/store.ts';
import { until } from '../../kit/until.ts';
import {
  CAPABILITIES,
  Effects,
  EXTENSION,
  resultOf,
  runServer,
  TaskClient,
  taskServer,
} from './kit.ts';

useSharedStores();

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe.each(storeKinds)('on %s', (kind) => {
  async function open() {
    const effects = new Effects();
    const served = await serve(taskServer(effects), { store: sharedStore(kind)(), tasks: true });
    return { ...served, effects, client: new TaskClient(served.client()) };
  }

  test('a call is answered with a task, which is found at once, and ends with the result of the handler', async () => {
    const { client, effects } = await open();
    const result = resultOf(await client.call('held'));
    expect(result).toEqual({
      resultType: 'task',
      taskId: expect.stringMatching(/^[\w-]{16}\.[\w-]{22}$/),
      status: 'working',
      createdAt: expect.stringMatching(ISO),
      lastUpdatedAt: expect.stringMatching(ISO),
      ttlMs: 86_400_000,
      pollIntervalMs: 1_000,
    });
    const id = String(result['taskId']);
    expect(await client.get(id)).toMatchObject({
      resultType: 'complete',
      taskId: id,
      status: 'working',
    });
    effects.open();
    const ended = await client.ended(id);
    expect(ended).toMatchObject({
      status: 'completed',
      result: { content: [{ text: 'done by a, attempt 1' }] },
    });
    expect(ended).not.toHaveProperty('error');
  });

  test('a client that does not declare the extension runs the tool itself, or is refused', async () => {
    const { client } = await open();
    const { message: plain } = await callModern(client.raw, 'tools/call', {
      name: 'slow',
      arguments: { ms: 1 },
    });
    expect(plain.result).toMatchObject({ content: [{ text: 'slept' }] });
    const { message: refused, response } = await callModern(client.raw, 'tools/call', {
      name: 'fails',
      arguments: {},
    });
    expect(refused.error).toMatchObject({
      code: -32021,
      data: { requiredCapabilities: { extensions: { [EXTENSION]: {} } } },
    });
    expect(response.status).toBe(400);
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const { message, response: answered } = await callModern(client.raw, method, {
        taskId: 'gate-test',
      });
      expect(message.error?.code, method).toBe(-32021);
      expect(answered.status).toBe(400);
    }
  });

  test('only slow calls become tasks', async () => {
    const { client } = await open();
    expect((await client.call('slow', { ms: 1 })).result).toMatchObject({
      content: [{ text: 'slept' }],
    });
    const id = await client.start('slow', { ms: 300 });
    expect(await client.ended(id)).toMatchObject({ status: 'completed' });
    expect((await client.call('greet', { name: 'Ada' })).result).toMatchObject({
      content: [{ text: 'Hello, Ada!' }],
    });
  });

  test('work elsewhere ends a task', async () => {
    const { client, effects, endpoint } = await open();
    const id = await client.start('detaches');
    await expect.poll(() => effects.all).toEqual([id]);
    expect(await endpoint.tasks.get(id)).toMatchObject({ status: 'working', tool: 'detaches' });
    expect(
      await endpoint.tasks.complete(id, { content: [{ type: 'text', text: 'from afar' }] }),
    ).toBe(true);
    for (const over of [id, '', '\0']) expect(await endpoint.tasks.complete(over, {})).toBe(false);
    expect(await client.get(id)).toMatchObject({
      status: 'completed',
      result: { content: [{ text: 'from afar' }] },
    });
  });
});

test.each([
  [
    'what its handler threw',
    new ProtocolError(ProtocolErrorCode.InvalidParams, 'not so', { why: 1 }),
    -32602,
    /^not so$/,
  ],
  [
    'what the SDK makes of it for the revision',
    new UrlElicitationRequiredError([]),
    -32603,
    /^URL elicitation cannot/,
  ],
])('a failed task has the error that its call would have: %s', async (_, thrown, code, message) => {
  const { client } = await serve(
    runServer(() => Promise.reject(thrown)),
    { tasks: true },
  );
  const tasks = new TaskClient(client());
  const ended = await tasks.ended(await tasks.start('run'));
  expect(ended).toMatchObject({
    status: 'failed',
    error: { code, message: expect.stringMatching(message) },
  });
});

test('tasks/get sends a long result as it is stored: it is neither parsed nor written again', async () => {
  const { client: clientOf, endpoint } = await serve(taskServer(new Effects()), { tasks: true });
  const client = new TaskClient(clientOf());
  const id = await client.start('detaches');
  const long = { content: [{ type: 'text', text: 'x'.repeat(3_900_000) }] };
  await endpoint.tasks.complete(id, long);
  const [parse, stringify] = [vi.spyOn(JSON, 'parse'), vi.spyOn(JSON, 'stringify')];
  onTestFinished(() => void vi.restoreAllMocks());
  const response = await postModern(
    client.raw,
    'tasks/get',
    { taskId: id },
    { capabilities: CAPABILITIES },
  );
  await response.ended;
  const isLong = (text: unknown): boolean => typeof text === 'string' && text.length > 1_000_000;
  const times = parse.mock.calls.filter(([text]) => isLong(text)).length;
  expect(times + stringify.mock.results.filter(({ value }) => isLong(value)).length).toBe(0);
  expect(response.json()).toMatchObject({
    result: { taskId: id, status: 'completed', result: long },
  });
});

// ——— a `subscriptions/listen` that asks for notifications about tasks. There are none: clients poll. ———

const ASKED = { notifications: { toolsListChanged: true, taskIds: ['one'] } };

test('a client that does not declare the extension is refused', async () => {
  const { client } = await serve(taskServer(new Effects()), { tasks: true });
  const { response, message } = await callModern(client(), 'subscriptions/listen', ASKED);
  expect(response.status).toBe(400);
  expect(message.error).toMatchObject({
    code: -32021,
    data: { requiredCapabilities: { extensions: { [EXTENSION]: {} } } },
  });
});

test.each([
  ['that declares it', { tasks: true }, ASKED, CAPABILITIES],
  ['that names no task', { tasks: true }, { notifications: { toolsListChanged: true } }, {}],
  ['of an endpoint without tasks', {}, ASKED, {}],
] as const)(
  'a client %s is acknowledged, without tasks',
  async (_, options, asked, capabilities) => {
    const { client } = await serve(taskServer(new Effects()), options);
    const response = await postModern(client(), 'subscriptions/listen', asked, { capabilities });
    expect(await response.nextMessage()).toMatchObject({
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true } },
    });
    response.abort();
  },
);

test('a call that becomes a task waits for a store that is not open yet, and so does a request for a task', async () => {
  const inner = memory();
  let open = (): void => {};
  const opens = new Promise<void>((resolve) => (open = resolve));
  const store: Store = {
    ...inner,
    kind: inner.kind,
    durable: true,
    async open(options) {
      await opens;
      return inner.open(options);
    },
  };
  let arrived = 0;
  const around = (_: unknown, next: () => void): void => {
    arrived += 1;
    next();
  };
  const { client: raw } = await serve(
    runServer(() => 'done'),
    { tasks: true, store },
    { face: 'node', around },
  );
  const client = new TaskClient(raw());
  const started = client.start('run');
  const asked = client.ask('tasks/get', { taskId: `${'g'.repeat(16)}.${'n'.repeat(22)}` });
  await until(() => arrived === 2);
  open();
  expect((await client.ended(await started))['status']).toBe('completed');
  expect((await asked).error).toMatchObject({ code: -32602 });
});
