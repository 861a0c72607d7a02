/** Calls that an instance sends itself, for a client without tasks and for later runs: it mirrors their arguments. */
import {
  fromJsonSchema,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { describe, expect, test, vi } from 'vitest';
import type { McpEndpointContext, McpEndpointOptions } from '../../../src/index.ts';
import { task, type TaskOptions, taskTools } from '../../../src/durable/tasks/index.ts';
import { toolCall } from '../../kit/lab.ts';
import { serve } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';
import { askSure, officialClient, taskTool, text } from './kit.ts';

const mirror = (type: string, header: string) => ({ type, 'x-mcp-header': header });
const inputSchema = fromJsonSchema<{ readonly city: string; readonly count?: number }>({
  type: 'object',
  properties: { city: mirror('string', 'City'), count: mirror('integer', 'Count') },
});
const PLACE = { city: ' Zürich\n', count: 7 };
const ENCODED = `=?base64?${Buffer.from(PLACE.city).toString('base64')}?=`;
const SLOW = { slowerThanMs: 10_000 };
const KINDS: Readonly<Record<string, TaskOptions>> = {
  fallback: { when: SLOW },
  key: { when: SLOW, key: () => 'one', anonymous: 'shared' },
  поиск: { when: SLOW },
};

const film = taskTool(() => 'film', { when: SLOW });

/** `passes`: whether the factory passes `serverOptions` on; else the SDK serves each request. */
const placesOf =
  (passes: boolean) =>
  ({ serverOptions }: Pick<McpEndpointContext, 'serverOptions'>): McpServer => {
    const server = new McpServer({ name: 'places', version: '1' }, passes ? serverOptions : {});
    taskTools(server);
    const city = ({ http }: ServerContext) =>
      text(String(Object.fromEntries(http?.req?.headers ?? [])['mcp-param-city']));
    for (const [name, options] of Object.entries(KINDS))
      server.registerTool(
        name,
        { inputSchema },
        task((_: unknown, ctx: ServerContext) => city(ctx), options),
      );
    const parks = (_: unknown, ctx: ServerContext) =>
      ctx.mcpReq.inputResponses === undefined ? (askSure() as never) : city(ctx);
    server.registerTool('parks', { inputSchema }, task(parks));
    return server;
  };

const VERSIONS = ['2025-11-25', '2026-07-28'] as const;

describe.each([true, false])('a factory that passes serverOptions on: %s', (passes) => {
  const open = () => serve(placesOf(passes), { tasks: { fallback: 'tools' } }, { face: 'node' });

  test.each(VERSIONS)('a client of %s calls a tool with headers', async (version) => {
    vi.spyOn(console, 'warn').mockReturnValue();
    const client = await officialClient((await open()).url, version);
    await client.listTools();
    for (const name of Object.keys(KINDS)) {
      const { content } = await client.callTool({ name, arguments: PLACE });
      expect(content, name).toEqual([{ type: 'text', text: ENCODED }]);
    }
    const { structuredContent } = await client.callTool({ name: 'parks', arguments: PLACE });
    const { taskId } = structuredContent as { taskId: string };
    const { content } = await client.callTool({ name: 'task_status', arguments: { taskId } });
    expect(content).toEqual([{ type: 'text', text: ENCODED }]);
  });
});

/** `lists` is called with the signal of a request that lists the tools. */
const listing = (lists: (signal: AbortSignal) => unknown) =>
  toolServer({ film }, (server) => {
    taskTools(server);
    const tools = ['task_status', 'film'].map((name) => ({
      name,
      inputSchema: { type: 'object' as const },
    }));
    server.server.setRequestHandler(
      'tools/list',
      async (_, { mcpReq }) => (await lists(mcpReq.signal), { tools }),
    );
  });

test.each([
  ['2025-11-25', 1],
  ['2026-07-28', 3],
] as const)('three calls of a client of %s list the tools %i times', async (version, times) => {
  let lists = 0;
  const { url } = await serve(
    listing(() => (lists += 1)),
    { tasks: { fallback: 'tools' } },
  );
  const client = await officialClient(url, version);
  const before = lists;
  for (let n = 0; n < 3; n++)
    expect((await client.callTool({ name: 'film' })).content).toEqual(text('film').content);
  expect(lists - before).toBe(times);
});

test('a call that is cancelled while the tools are listed becomes no task', async () => {
  const [lists, store] = [gate(), watchedStore()];
  let signal: AbortSignal | undefined;
  const factory = listing((of) => ((signal = of), lists.hook()));
  const { openSession } = await serve(factory, { tasks: { fallback: 'tools' }, store });
  const one = await openSession();
  const id = one.nextId();
  await one.post(toolCall(id, 'film'));
  await until(() => lists.waiting === 1);
  await one.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
  await until(() => signal?.aborted === true);
  lists.open();
  await one.call('tools/call', { name: 'film' });
  expect(store.calls.filter(({ call }) => call === 'tasks.create')).toHaveLength(1);
});

describe('one call counts once', () => {
  const filmed = async (limits: McpEndpointOptions['limits']) => {
    const factory = toolServer({ film }, (server) => taskTools(server));
    const { openSession } = await serve(factory, { tasks: { fallback: 'tools' }, limits });
    const one = await openSession();
    return async () => (await one.call('tools/call', { name: 'film' })).message;
  };

  test.each([
    ['in the requests of its user', { perUser: { requests: 1 } }],
    ['in what its user may send in a minute', { perUser: { requestsPerMinute: 4 } }],
    ['in what a tool may be called in a minute', { perTool: { film: { requestsPerMinute: 2 } } }],
  ])('%s', async (_, limits) => {
    const film = await filmed(limits);
    for (let n = 0; n < 2; n++) expect(await film()).toMatchObject({ result: text('film') });
  });
});

test.each(VERSIONS)(
  'a throw is noticed once, an error that is an answer or a wrong id never (%s)',
  async (version) => {
    const throws = (error: Error) => (): never => {
      throw error;
    };
    const tools = {
      fails: taskTool(throws(new Error('no luck')), { when: SLOW }),
      refuses: taskTool(throws(new ProtocolError(ProtocolErrorCode.InvalidParams, 'not so'))),
    };
    const factory = toolServer(tools, (server) => taskTools(server));
    const { url, log } = await serve(factory, { tasks: { fallback: 'tools' } });
    const client = await officialClient(url, version);
    expect(await client.callTool({ name: 'fails' })).toMatchObject({
      isError: true,
      content: [{ text: 'no luck' }],
    });
    const { structuredContent } = await client.callTool({ name: 'refuses' });
    const status = { name: 'task_status', arguments: structuredContent as { taskId: string } };
    for (let n = 0; n < 2; n++)
      expect(await client.callTool(status)).toMatchObject({ content: [{ text: 'not so' }] });
    await client.callTool({ name: 'task_cancel', arguments: { taskId: 'none' } });
    expect(log.matching(/^A tool threw/)).toHaveLength(1);
  },
);
