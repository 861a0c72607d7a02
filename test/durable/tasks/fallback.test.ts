/** Clients without tasks: `fallback`, `taskTools()`, `detach` in an ordinary call, and the option's object form. */
import type { ServerContext } from '@modelcontextprotocol/server';
import { McpServer as OlderServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import {
  createMcpEndpoint,
  type McpEndpointOptions,
  type TasksOptions,
} from '../../../src/index.ts';
import { type RunningTask, task, taskTools } from '../../../src/durable/tasks/index.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import type { JsonRpcAnswer } from '../../kit/raw-client.ts';
import { perSession } from '../../kit/making-servers.ts';
import { passing } from '../../kit/moving-time.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { watchedStore } from '../../kit/watched-store.ts';
import {
  askSure,
  Effects,
  type Fields,
  officialClient,
  QUESTION,
  resultOf,
  TaskClient,
  taskTool,
  text,
} from './kit.ts';

const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'c', version: '1' },
};
const VERSIONS = ['2025-11-25', '2026-07-28'] as const;

function toolsOf(effects: Effects, hasTaskTools = true) {
  const held = async (_: object, _ctx: ServerContext, own: RunningTask) => {
    effects.note('held');
    own.status('half of it');
    await effects.wait(own.signal);
    return 'done';
  };
  const tools = {
    held: taskTool(held, { afterCrash: 'run' }),
    required: taskTool(held, { when: 'required' }),
    slow: taskTool(held, { when: { slowerThanMs: 150 } }),
    plain: () => text('plain'),
    quick: taskTool(() => 'quick', { when: { slowerThanMs: 5_000 } }),
    asks: taskTool(async (_, _ctx, own) => (await own.elicit('sure', QUESTION)).action),
    'asks-later': taskTool(async (_, _ctx, own) => {
      await effects.wait(own.signal);
      return (await own.elicit('sure', QUESTION)).action;
    }),
    rounds: taskTool((_, { mcpReq }) =>
      mcpReq.inputResponses === undefined
        ? askSure()
        : `answered ${Object.keys(mcpReq.inputResponses).join()}`,
    ),
    fails: taskTool(() => {
      throw new Error('no luck');
    }),
    detaches: taskTool((_, _ctx, own) => own.detach((id) => effects.note(id))),
  };
  return toolServer(tools, (server) => {
    if (hasTaskTools) taskTools(server);
    const outputSchema = z.object({ sum: z.number() });
    const sum = () => ({ content: [], structuredContent: { sum: 5 } });
    server.registerTool('checked', { inputSchema: z.object({}), outputSchema }, task(sum));
  });
}

async function open(
  tasks: TasksOptions | true,
  options: McpEndpointOptions = {},
  hasTaskTools = true,
) {
  const effects = new Effects();
  const settings = { face: 'node', auth: userHeader } as const;
  const served = await serve(toolsOf(effects, hasTaskTools), { tasks, ...options }, settings);
  // Before the endpoint is closed, which waits for handlers.
  onTestFinished(effects.open);
  return {
    ...served,
    effects,
    official: (version: (typeof VERSIONS)[number]) => officialClient(served.url, version),
  };
}

type Called = Awaited<ReturnType<Awaited<ReturnType<typeof officialClient>>['callTool']>>;
const said = ({ content }: Pick<Called, 'content'>): string =>
  (content[0] as { text?: string }).text ?? '';
const idOf = ({ structuredContent }: Called): string =>
  String((structuredContent as Fields)['taskId']);
const statusOf = (taskId: string) => ({ name: 'task_status', arguments: { taskId } });

describe.each(VERSIONS)("fallback: 'tools', an official client of %s", (version) => {
  const opened = async () => {
    const served = await open({ fallback: 'tools' });
    return { ...served, client: await served.official(version) };
  };

  test('gets a handle, and the result from task_status', async () => {
    const { client, effects } = await opened();
    const handle = await client.callTool({ name: 'held' });
    expect(said(handle)).toContain(`task ${idOf(handle)}`);
    effects.open();
    expect(said(await client.callTool(statusOf(idOf(handle))))).toBe('done');
    expect(said(await client.callTool({ name: 'plain' }))).toBe('plain');
    expect(effects.all).toEqual(['held']);
  });

  test('is asked what the task asks, also by a handler of several rounds', async () => {
    const { client } = await opened();
    expect(
      said(await client.callTool(statusOf(idOf(await client.callTool({ name: 'asks' }))))),
    ).toBe('accept');
    const rounds = idOf(await client.callTool({ name: 'rounds' }));
    expect(said(await client.callTool(statusOf(rounds)))).toBe('answered sure');
  });

  test('cancels a task', async () => {
    const { client, endpoint } = await opened();
    const id = idOf(await client.callTool({ name: 'held' }));
    const cancel = { name: 'task_cancel', arguments: { taskId: id } };
    expect(said(await client.callTool(cancel))).toBe('The task is cancelled.');
    expect(said(await client.callTool(cancel))).toBe('The task was over.');
    expect(await endpoint.tasks.get(id)).toMatchObject({ status: 'cancelled' });
    expect(await client.callTool(statusOf(id))).toMatchObject({ isError: true });
  });

  test('gets what a task failed with', async () => {
    const { client } = await opened();
    const status = await client.callTool(statusOf(idOf(await client.callTool({ name: 'fails' }))));
    expect(status).toMatchObject({ isError: true, content: [{ text: 'no luck' }] });
  });

  test('waits for a tool with an outputSchema, and for a quick one', async () => {
    const { client, effects } = await opened();
    await client.listTools();
    expect((await client.callTool({ name: 'checked' })).structuredContent).toEqual({ sum: 5 });
    expect(said(await client.callTool({ name: 'quick' }))).toBe('quick');
    const id = idOf(await client.callTool({ name: 'slow' }));
    effects.open();
    expect(said(await client.callTool(statusOf(id)))).toBe('done');
  });

  test('may call a tool that requires tasks', async () => {
    const { client } = await opened();
    expect(idOf(await client.callTool({ name: 'required' }))).not.toBe('undefined');
    const waiting = await (await open(true)).official(version);
    await expect(waiting.callTool({ name: 'required' })).rejects.toMatchObject({
      data: { requiredCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } },
    });
  });

  test('without taskTools(server) a call is refused: nothing would read its task', async () => {
    const { official, effects } = await open({ fallback: 'tools' }, {}, false);
    await expect((await official(version)).callTool({ name: 'held' })).rejects.toThrow(
      /needs taskTools\(server\)/,
    );
    expect(effects.all).toEqual([]);
  });

  test('detach: the client of an ordinary call waits for what ends the task', async () => {
    const { official, effects, endpoint } = await open(true);
    const called = (await official(version)).callTool({ name: 'detaches' });
    const id = await until(() => effects.all[0] as string);
    expect(await endpoint.tasks.get(id)).toMatchObject({ status: 'working', tool: 'detaches' });
    expect(await endpoint.tasks.complete(id, text('trained'))).toBe(true);
    expect(said(await called)).toBe('trained');
  });
});

describe("fallback: 'tools'", () => {
  test('a client with tasks gets tasks', async () => {
    const { client, effects } = await open({ fallback: 'tools' });
    const ada = new TaskClient(client({ headers: { 'x-user': 'ada' } }));
    const id = await ada.start('held');
    effects.open();
    expect(await ada.ended(id)).toMatchObject({ status: 'completed', result: text('done') });
  });

  test('hears after 4 s how far a task is', async () => {
    const time = createFakeTime();
    const { official, effects } = await open({ fallback: 'tools' }, { timeProvider: time });
    const client = await official('2026-07-28');
    const id = idOf(await client.callTool({ name: 'held' }));
    const status = await passing(time, client.callTool(statusOf(id)), 500);
    expect(status.structuredContent).toMatchObject({
      status: 'working',
      statusMessage: 'half of it',
    });
    expect(said(status)).toMatch(/^The task is not over: half of it/);
    effects.open();
    expect(said(await client.callTool(statusOf(id)))).toBe('done');
  });

  test('a wait for an old task looks at it once a second, and hears at once what it asks', async () => {
    const [time, store] = [createFakeTime(), watchedStore()];
    const { official, effects } = await open({ fallback: 'tools' }, { timeProvider: time, store });
    const client = await official('2025-11-25');
    const id = idOf(await client.callTool({ name: 'asks-later' }));
    await time.advance(60_000);
    const looks = (): number => store.calls.filter(({ call }) => call === 'tasks.read').length;
    const before = looks();
    const status = client.callTool(statusOf(id));
    await until(() => looks() > before);
    await time.advance(3_500);
    expect(looks() - before).toBeLessThanOrEqual(5);
    effects.open();
    // No time passes.
    expect(said(await status)).toBe('accept');
  });

  test('ids of other users are unknown', async () => {
    const { client } = await open({ fallback: 'tools' });
    const as = (user: string) =>
      new TaskClient(client({ headers: { 'x-user': user } }), { capabilities: {} });
    const handle = resultOf(await as('ada').call('held'));
    const { taskId } = handle['structuredContent'] as Fields;
    const ask = async (user: string, name: string, id: unknown): Promise<JsonRpcAnswer> => ({
      ...(await as(user).call(name, { taskId: id })),
      id: 0,
    });
    for (const name of ['task_status', 'task_cancel']) {
      const unknown = await ask('bob', name, 'nothing');
      expect(unknown).toMatchObject({
        result: { isError: true, content: [{ text: expect.stringMatching(/no task/) }] },
      });
      expect(await ask('bob', name, taskId)).toEqual(unknown);
    }
  });
});

test('a server of SDK version 1 is refused: at the start, or where a factory makes it', async () => {
  const older = () => new OlderServer({ name: 'older', version: '1' });
  const message = /tasks need a server of SDK version 2/;
  expect(() => createMcpEndpoint(older(), { tasks: true })).toThrow(message);
  const { client, log } = await serve(perSession(older), { tasks: true });
  const answer = await client().call('initialize', INITIALIZE);
  expect(answer.message.error).toMatchObject({ code: -32603 });
  expect(JSON.stringify(log)).toMatch(message);
});

describe('the option', () => {
  test('its limits: open tasks of callers without a user, running ones', async () => {
    const { client } = await open({}, { limits: { anonymousTasks: 2, runningTasks: 50 } });
    const anyone = new TaskClient(client());
    for (let n = 0; n < 2; n++) await anyone.start('held');
    expect((await anyone.call('held')).error?.message).toMatch(
      /reached 2 tasks \(limits\.anonymousTasks\)/,
    );
    const small = await open({}, { limits: { runningTasks: 1 } });
    await new TaskClient(small.client()).start('held');
    expect((await new TaskClient(small.client()).call('held')).error?.message).toMatch(
      /reached 1 tasks \(limits\.runningTasks\)/,
    );
  });

  test('authInfo gives later runs their authInfo, and none is stored', async () => {
    const seen: unknown[] = [];
    const asked: unknown[] = [];
    let isAllowed = false;
    const run = taskTool((_, { http, mcpReq }) => {
      seen.push(http?.authInfo?.token);
      return mcpReq.inputResponses === undefined ? askSure() : 'done';
    });
    const rights = { token: 'fresh', clientId: 'c', scopes: [], extra: { sub: 'ada' } };
    const authorize: TasksOptions['authInfo'] = (of) => {
      asked.push(of);
      return isAllowed ? rights : undefined;
    };
    const auth = () => ({ ...rights, token: 'first', extra: { sub: 'ada', secret: 'hidden' } });
    const { client, endpoint } = await serve(
      toolServer({ run }),
      { tasks: { authInfo: authorize } },
      { face: 'node', auth },
    );
    const ada = new TaskClient(client());
    const refused = await ada.start('run');
    await ada.until(refused, 'input_required');
    await ada.update(refused, { sure: { action: 'accept' } });
    await until(() => asked.length > 0);
    expect(asked).toEqual([
      { taskId: refused, tool: 'run', userKey: expect.stringContaining('ada'), userName: 'ada' },
    ]);
    expect(await ada.get(refused)).toMatchObject({ status: 'working' });
    expect(seen).toEqual(['first']);
    isAllowed = true;
    const id = await ada.start('run');
    await ada.until(id, 'input_required');
    await ada.update(id, { sure: { action: 'accept' } });
    await ada.ended(id);
    expect(seen).toEqual(['first', 'first', 'fresh']);
    await endpoint.close({ timeoutMs: 0 });
  });

  test.each([
    [{ ttl: 5 }, /ttl/],
    [{ ttlMs: 5_000 }, /ttlMs/],
    [{ fallback: 'none' }, /tasks\.fallback/],
    [{ authorize: 'all' }, /tasks\.authorize/],
    [{ limits: { open: 1 } }, /tasks\.limits/],
    ['yes', /tasks/],
  ])('%o is refused', (tasks, message) => {
    expect(() => createMcpEndpoint(toolsOf(new Effects()), { tasks: tasks as never })).toThrow(
      message,
    );
  });
});
