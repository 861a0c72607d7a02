/** The JSON Schema of a tool's schema is converted once, and every list is a copy (`src/sdk/tools.ts`). */
import {
  fromJsonSchema,
  McpServer,
  type StandardSchemaWithJSON,
} from '@modelcontextprotocol/server';
import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import { rememberSchemas } from '../../src/sdk/tools.ts';
import type { JsonRpcAnswer, RawClient } from '../kit/raw-client.ts';
import { callModern } from '../kit/modern.ts';
import { type Served, serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const info = { name: 'memo', version: '1.0.0' };
const nothing = () => ({ content: [] });

interface Tool {
  name: string;
  inputSchema: { properties?: Record<string, { type?: string; description?: string }> };
  outputSchema?: object;
}

let conversions = 0;
beforeEach(() => void (conversions = 0));

/** As a schema library implements the interface. */
function counted(properties: Record<string, object>): StandardSchemaWithJSON<{ text?: string }> {
  const convert = () => {
    conversions += 1;
    return { type: 'object', properties: structuredClone(properties) };
  };
  return {
    '~standard': {
      version: 1,
      vendor: 'counted',
      validate: (value: unknown) => ({ value: value as { text?: string } }),
      jsonSchema: { input: convert, output: convert },
    },
  };
}

const toolsOf = ({ result }: JsonRpcAnswer): Tool[] => (result as { tools: Tool[] }).tools;
const listed = async (client: RawClient): Promise<Tool[]> =>
  toolsOf((await client.call('tools/list')).message);
const listedModern = async (client: RawClient): Promise<Tool[]> =>
  toolsOf((await callModern(client, 'tools/list')).message);

async function opened(served: { client(): RawClient }): Promise<RawClient> {
  const client = served.client();
  await client.initialize();
  return client;
}

/** A server whose tool has this schema. */
function withTool(
  inputSchema: object,
  serverOptions?: McpEndpointContext['serverOptions'],
): McpServer {
  const server = new McpServer(info, serverOptions);
  server.registerTool('echo', { inputSchema: inputSchema as never }, nothing as never);
  return server;
}

const fromFactory = (inputSchema: object): Promise<Served> =>
  serve(({ serverOptions }) => withTool(inputSchema, serverOptions));

type Handlers = Map<string, (...args: unknown[]) => unknown>;
const handlersOf = ({ server }: McpServer): Handlers =>
  Reflect.get(server, '_requestHandlers') as Handlers;

describe.each(['a factory', 'one definition'])('with %s', (way) => {
  const given = (create: (options?: McpEndpointContext['serverOptions']) => McpServer) =>
    serve(way === 'a factory' ? ({ serverOptions }) => create(serverOptions) : create());

  test('every list and call of both eras shares one conversion of a schema', async () => {
    const inputSchema = counted({ text: { type: 'string' } });
    const served = await given((options) => withTool(inputSchema, options));
    const lists = [
      await listed(await opened(served)),
      await listed(await opened(served)),
      await listedModern(served.client()),
    ];
    await callModern(served.client(), 'tools/call', { name: 'echo', arguments: {} });
    await callModern(served.client(), 'tools/call', { name: 'echo', arguments: {} });
    for (const tools of lists)
      expect(tools[0]?.inputSchema).toEqual({
        type: 'object',
        properties: { text: { type: 'string' } },
      });
    expect(conversions).toBe(1);
  });

  test('an application that replaced tools/list changes its own copy alone', async () => {
    const inputSchema = z.object({ text: z.string(), secret: z.string() });
    const served = await given((options) => {
      const server = withTool(inputSchema, options);
      const own = handlersOf(server).get('tools/list');
      let lists = 0;
      server.server.setRequestHandler('tools/list', async (request, ctx) => {
        const result = (await own?.(request, ctx)) as { tools: Tool[] };
        if (lists++ === 0) delete result.tools[0]?.inputSchema.properties?.['secret'];
        return result as never;
      });
      return server;
    });
    const client = await opened(served);
    const names = (tools: Tool[]) => Object.keys(tools[0]?.inputSchema.properties ?? {});
    expect(names(await listed(client))).toEqual(['text']);
    expect(names(await listed(client))).toEqual(['text', 'secret']);
  });
});

test('a tool that changes at run time is listed as it is', async () => {
  const definition = new McpServer(info);
  const first = counted({ a: { type: 'string' } });
  const changing = definition.registerTool('changing', { inputSchema: first }, nothing);
  const served = await serve(definition);
  const client = await opened(served);
  const seen = async () =>
    (await listed(client)).map(({ name, inputSchema }) =>
      [name, ...Object.keys(inputSchema.properties ?? {})].join(' '),
    );
  expect(await seen()).toEqual(['changing a']);
  changing.update({ paramsSchema: counted({ b: { type: 'number' } }) });
  expect(await seen()).toEqual(['changing b']);
  changing.disable();
  expect(await seen()).toEqual([]);
  changing.enable();
  definition.registerTool('more', { inputSchema: first }, nothing);
  expect(await seen()).toEqual(['changing b', 'more a']);
  changing.remove();
  expect(await seen()).toEqual(['more a']);
  expect(await listedModern(served.client())).toHaveLength(1);
  expect(conversions).toBe(2);
});

/** Of each kind of schema, what the SDK lists before anything is remembered. */
const schemas: Array<[string, () => object]> = [
  [
    'zod, with metadata and a definition that refers to itself',
    () => {
      const tree: z.ZodType = z.object({ name: z.string(), children: z.array(z.lazy(() => tree)) });
      const text = z.string().meta({ id: 'text', title: 'Text', examples: ['a'] });
      return z.object({
        tree,
        text,
        n: z.number().int().default(1),
        list: z.array(z.enum(['a', 'b'])).describe('all'),
      });
    },
  ],
  [
    'JSON Schema',
    () => fromJsonSchema({ type: 'object', properties: { text: { type: 'string' } } }),
  ],
  [
    'a name like any other',
    () => counted(JSON.parse('{ "__proto__": { "type": "string" } }') as Record<string, object>),
  ],
];

describe.each(schemas)('the list of a tool with %s', (_name, createSchema) => {
  test('is the same the first time, the second time, and without this library', async () => {
    const inputSchema = createSchema() as never;
    const server = new McpServer(info);
    server.registerTool('tool', { inputSchema, outputSchema: inputSchema }, nothing as never);
    const list = async () =>
      JSON.stringify(await handlersOf(server).get('tools/list')?.({ method: 'tools/list' }, {}));
    const before = await list();
    rememberSchemas(server);
    expect([await list(), await list()]).toEqual([before, before]);
  });
});

describe('converted each time, without an error, is a schema', () => {
  const standard = () => counted({})['~standard'];

  test.each<[string, () => object]>([
    [
      'that is frozen',
      () => {
        const { jsonSchema, ...rest } = standard();
        return Object.freeze({
          '~standard': Object.freeze({ ...rest, jsonSchema: Object.freeze(jsonSchema) }),
        });
      },
    ],
    [
      'that creates the interface for each access',
      () => Object.defineProperty({}, '~standard', { get: standard }),
    ],
  ])('%s', async (_what, createSchema) => {
    const client = await opened(await fromFactory(createSchema()));
    for (let n = 1; n <= 3; n++) {
      expect(await listed(client)).toHaveLength(1);
      expect(conversions).toBe(n);
    }
  });

  test('that cannot be converted: the list fails each time', async () => {
    const client = await opened(await fromFactory(z.object({ when: z.date() })));
    for (let n = 0; n < 2; n++)
      expect((await client.call('tools/list')).message.error?.message).toMatch(/Date/);
  });
});

test('a handler may notify as its signal aborts: what its client cannot get is dropped', async () => {
  const outcomes: unknown[] = [];
  const { openSession, endpoint } = await serve(() => {
    const server = new McpServer(info, { capabilities: { logging: {} } });
    server.registerTool('hold', {}, ({ mcpReq: { signal, log } }) => {
      return new Promise((hold) => {
        signal.addEventListener(
          'abort',
          () => void log('error', '').then(() => outcomes.push(hold(nothing())), hold),
        );
        outcomes.push('held');
      });
    });
    return server;
  });
  const one = await openSession();
  one.call('tools/call', { name: 'hold', arguments: {} }).catch(() => {});
  await until(() => outcomes.length === 1);
  await endpoint.sessions.end(String(one.sessionId));
  await until(() => outcomes.length === 2);
});
