/** Lists that are the same for every caller (`sharedLists`), and what keeps them from reaching the wrong caller. */
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  currentRequest,
  type McpEndpointContext,
  type McpEndpointOptions,
  type SharedList,
} from '../../../src/index.ts';
import { SharedLists } from '../../../src/session/calls/shared-lists.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { callModern } from '../../kit/modern.ts';
import { perSession } from '../../kit/making-servers.ts';
import { type Served, serve, userHeader } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';

const info = { name: 'lists', version: '1.0.0' };
const EVERY: readonly SharedList[] = ['tools', 'prompts', 'resources', 'resourceTemplates'];
const METHODS = [
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
] as const;

const as = (user: string) => ({ headers: { 'x-user': user } });
const userOfRequest = (): string => currentRequest()?.headers.get('x-user') ?? 'no user';

/** Every list names the user of the request that asked for it. */
function personal(ctx?: McpEndpointContext): McpServer {
  const server = new McpServer(info, {
    ...ctx?.serverOptions,
    capabilities: { tools: {}, prompts: {}, resources: {} },
  });
  server.registerTool('shared', { inputSchema: z.object({}) }, () => said('shared'));
  const low = server.server;
  low.setRequestHandler('tools/list', () => ({
    tools: [{ name: `of-${userOfRequest()}`, inputSchema: { type: 'object' as const } }],
  }));
  low.setRequestHandler('prompts/list', () => ({ prompts: [{ name: `of-${userOfRequest()}` }] }));
  const template = new ResourceTemplate('note://{id}', {
    list: () => ({ resources: [{ uri: `note://${userOfRequest()}`, name: 'note' }] }),
  });
  server.registerResource('note', template, {}, () => ({ contents: [] }));
  low.setRequestHandler('resources/templates/list', () => ({
    resourceTemplates: [{ uriTemplate: `note://${userOfRequest()}/{id}`, name: 'note' }],
  }));
  return server;
}

const WAYS = {
  'one definition': () => personal(),
  'a factory': () => personal,
} as const;

type Ask = (user: string, method: string, params?: Record<string, unknown>) => Promise<unknown>;

const ASKED: Record<string, (served: Served) => Ask> = {
  'in sessions': (served) => async (user, method, params) => {
    const client = await served.openSession({}, as(user));
    return (await client.call(method, params)).message;
  },
  'in 2026-07-28': (served) => async (user, method, params) =>
    (await callModern(served.client(), method, params, as(user))).message,
  'without sessions': (served) => async (user, method, params) =>
    (await served.client(as(user)).call(method, params)).message,
};

const optionsOf = (asked: string, options: McpEndpointOptions): McpEndpointOptions =>
  asked === 'without sessions' ? { ...options, sessionMode: 'stateless' } : options;

const cases = Object.keys(WAYS).flatMap((way) =>
  Object.keys(ASKED).map((asked) => [way, asked] as const),
);

describe.each(cases)('lists of one user, from %s, %s', (way, asked) => {
  const served = async (options: McpEndpointOptions): Promise<Ask> => {
    const given = WAYS[way as keyof typeof WAYS]();
    const one = await serve(given, optionsOf(asked, options), { face: 'node', auth: userHeader });
    const ask = ASKED[asked];
    if (ask === undefined) throw new Error(asked);
    return ask(one);
  };

  test.each(METHODS)('%s never reaches another user without the option', async (method) => {
    const ask = await served({});
    for (const user of ['ann', 'bob', 'ann', 'cid']) {
      const message = JSON.stringify(await ask(user, method));
      expect(message.match(/of-\w+|note:\/\/\w+/g)?.[0]).toMatch(new RegExp(`${user}$`));
    }
  });

  test.each(METHODS)(
    '%s is that of the first user with the option: the attack of this file can succeed',
    async (method) => {
      const ask = await served({ sharedLists: EVERY });
      expect(JSON.stringify(await ask('ann', method))).toContain('ann');
      expect(JSON.stringify(await ask('bob', method))).toContain('ann');
    },
  );

  test('a list that is not named is asked for each user', async () => {
    const ask = await served({ sharedLists: ['prompts'] });
    expect(JSON.stringify(await ask('ann', 'tools/list'))).toContain('of-ann');
    expect(JSON.stringify(await ask('bob', 'tools/list'))).toContain('of-bob');
  });
});

/** A definition whose lists are counted. */
function counting(options: McpEndpointOptions = { sharedLists: EVERY }) {
  let lists = 0;
  const definition = new McpServer(info);
  const tool = definition.registerTool(
    'first',
    { inputSchema: z.object({ text: z.string() }) },
    () => said('first'),
  );
  const handlers = Reflect.get(definition.server, '_requestHandlers') as Map<
    string,
    (...args: unknown[]) => unknown
  >;
  const own = handlers.get('tools/list');
  handlers.set('tools/list', (...args) => {
    lists += 1;
    return own?.(...args);
  });
  return { definition, tool, count: () => lists, served: () => serve(definition, options) };
}

async function opened(served: Served, protocolVersion?: string): Promise<RawClient> {
  const client = await served.openSession(protocolVersion === undefined ? {} : { protocolVersion });
  return client;
}

const list = async (client: RawClient, params?: Record<string, unknown>) =>
  (await client.call('tools/list', params)).message;
const namesOf = (message: unknown): string[] =>
  (message as { result: { tools: Array<{ name: string }> } }).result.tools.map(({ name }) => name);

test('the server is asked once for each version, and the answers are equal up to their ids', async () => {
  const { served, count } = counting();
  const one = await served();
  const [a, b, old] = [await opened(one), await opened(one), await opened(one, '2025-03-26')];
  const answers = [await list(a), await list(b), await list(a), await list(b, {})];
  expect(count()).toBe(1);
  expect(new Set(answers.map(({ id }) => id)).size).toBeGreaterThan(1);
  expect(new Set(answers.map((message) => JSON.stringify({ ...message, id: 0 }))).size).toBe(1);
  await list(old);
  await list(old);
  expect(count()).toBe(2);
  const modern = [1, 2].map(
    async () => (await callModern(one.client(), 'tools/list')).message.result,
  );
  const [first, second] = [await modern[0], await modern[1]];
  expect(second).toEqual(first);
  const asked = count();
  expect((await callModern(one.client(), 'tools/list')).message.result).toEqual(first);
  expect(count()).toBe(asked);
});

test('every change of the list is seen by the next request, in both eras', async () => {
  const { definition, tool, served } = counting();
  const one = await served();
  const client = await opened(one);
  const seen = async () => {
    const modern = (await callModern(one.client(), 'tools/list')).message;
    const legacy = await list(client);
    expect(namesOf(modern)).toEqual(namesOf(legacy));
    return namesOf(legacy);
  };
  expect(await seen()).toEqual(['first']);
  const second = definition.registerTool('second', {}, () => said('second'));
  expect(await seen()).toEqual(['first', 'second']);
  tool.disable();
  expect(await seen()).toEqual(['second']);
  tool.enable();
  expect(await seen()).toEqual(['first', 'second']);
  tool.update({ name: 'renamed' });
  expect(await seen()).toEqual(['second', 'renamed']);
  second.remove();
  expect(await seen()).toEqual(['renamed']);
  definition.server.setRequestHandler('tools/list', () => ({ tools: [] }));
  expect(await seen()).toEqual([]);
});

test('prompts and resources too, and a change of one list leaves the others', async () => {
  const definition = new McpServer(info);
  definition.registerPrompt('hello', {}, () => ({ messages: [] }));
  definition.registerResource('note', 'note://1', {}, () => ({ contents: [] }));
  const client = await opened(await serve(definition, { sharedLists: EVERY }));
  const json = async (method: string) => JSON.stringify((await client.call(method)).message.result);
  for (const method of METHODS.slice(1)) expect(await json(method)).toBe(await json(method));
  definition.registerPrompt('bye', {}, () => ({ messages: [] }));
  expect(await json('prompts/list')).toContain('bye');
  expect(await json('resources/list')).toContain('note://1');
  definition.registerResource('more', 'note://2', {}, () => ({ contents: [] }));
  expect(await json('resources/list')).toContain('note://2');
});

test('a list_changed of a session, and of endpoint.notify, forgets what a factory listed', async () => {
  let extra = 0;
  const served = await serve(
    perSession((ctx: McpEndpointContext) => {
      const server = new McpServer(info, { ...ctx.serverOptions });
      server.registerTool('change', {}, () => {
        extra += 1;
        server.sendToolListChanged();
        return said(extra);
      });
      for (let n = 0; n < extra; n++) server.registerTool(`extra-${String(n)}`, {}, () => said(n));
      return server;
    }),
    { sharedLists: ['tools'] },
  );
  const seen = async () => namesOf(await list(await opened(served))).length;
  expect(await seen()).toBe(1);
  const client = await opened(served);
  await client.call('tools/call', { name: 'change', arguments: {} });
  expect(await seen()).toBe(2);
  extra += 1;
  expect(await seen()).toBe(2);
  served.endpoint.notify.toolsChanged();
  expect(await seen()).toBe(3);
  await callModern(served.client(), 'tools/call', { name: 'change', arguments: {} });
  expect(await seen()).toBe(4);
});

test('an answer is not kept if the list changed while its handler ran', async () => {
  const definition = new McpServer(info);
  const release: Array<() => void> = [];
  let state = 'old';
  definition.registerTool('any', {}, () => said('any'));
  definition.server.setRequestHandler('tools/list', async () => {
    const name = state;
    if (name === 'old') await new Promise<void>((resolve) => release.push(resolve));
    return { tools: [{ name, inputSchema: { type: 'object' as const } }] };
  });
  const served = await serve(definition, { sharedLists: ['tools'] });
  const [a, b] = [await opened(served), await opened(served)];
  const old = list(a);
  await expect.poll(() => release.length).toBe(1);
  state = 'new';
  definition.sendToolListChanged();
  for (const resolve of release) resolve();
  expect(namesOf(await old)).toEqual(['old']);
  expect(namesOf(await list(b))).toEqual(['new']);
});

/** Answers with the cursor as the page's only tool. */
function paged() {
  const asked: Array<string | undefined> = [];
  const definition = new McpServer(info);
  definition.registerTool('any', {}, () => said('any'));
  definition.server.setRequestHandler('tools/list', ({ params }) => {
    const cursor = params?.cursor;
    asked.push(cursor);
    const tools = [{ name: cursor ?? 'first', inputSchema: { type: 'object' as const } }];
    return cursor === undefined ? { tools, nextCursor: 'second' } : { tools };
  });
  return { asked, served: () => serve(definition, { sharedLists: ['tools'] }) };
}

test('pages are kept by cursor, and only for cursors that the server named', async () => {
  const { asked, served } = paged();
  const client = await opened(await served());
  for (let n = 0; n < 2; n++) {
    expect(namesOf(await list(client))).toEqual(['first']);
    expect(namesOf(await list(client, { cursor: 'second' }))).toEqual(['second']);
    expect(namesOf(await list(client, { cursor: 'invented' }))).toEqual(['invented']);
  }
  expect(asked).toEqual([undefined, 'second', 'invented', 'invented']);
});

test('a request that is not plain is answered by the server', async () => {
  const { served, count } = counting();
  const client = await opened(await served());
  await list(client);
  await list(client, { _meta: { progressToken: 'p' } });
  expect(count()).toBe(1);
  await list(client, { filter: 'x' });
  expect(count()).toBe(2);
  for (const params of [{ cursor: 7 }, { _meta: { progressToken: {} } }, { _meta: 'x' }])
    expect(await list(client, params)).toHaveProperty('error');
});

test('an error is not kept', async () => {
  let calls = 0;
  const definition = new McpServer(info);
  definition.registerTool('any', {}, () => said('any'));
  definition.server.setRequestHandler('tools/list', () => {
    if (++calls === 1) throw new Error('not yet');
    return { tools: [] };
  });
  const client = await opened(await serve(definition, { sharedLists: ['tools'] }));
  expect(await list(client)).toMatchObject({ error: { message: 'not yet' } });
  expect(await list(client)).toMatchObject({ result: { tools: [] } });
});

test.each(['onmessage', 'send'] as const)(
  'a transport whose %s the application wraps neither uses nor fills pages',
  async (member) => {
    let wrap = true;
    const served = await serve(
      perSession((ctx: McpEndpointContext) => {
        const server = new McpServer(info, { ...ctx.serverOptions });
        server.registerTool('secret', {}, () => said('secret'));
        server.registerTool('public', {}, () => said('public'));
        if (!wrap) return server;
        const connect = server.server.connect.bind(server.server);
        server.server.connect = async (transport) => {
          await connect(transport);
          const { onmessage } = transport;
          if (member === 'onmessage')
            transport.onmessage = (message, extra) => onmessage?.(message, extra);
          const send = transport.send.bind(transport);
          transport.send = (message, options) => {
            const { result } = message as { result?: { tools?: Array<{ name: string }> } };
            if (result?.tools !== undefined)
              result.tools = result.tools.filter(({ name }) => name === 'public');
            return send(message, options);
          };
        };
        return server;
      }),
      { sharedLists: ['tools'] },
    );
    const modern = async () => namesOf((await callModern(served.client(), 'tools/list')).message);
    const legacy = async () => namesOf(await list(await opened(served)));
    expect([await legacy(), await modern()]).toEqual([['public'], ['public']]);
    wrap = false;
    expect([await legacy(), await modern()]).toEqual([
      ['secret', 'public'],
      ['secret', 'public'],
    ]);
    wrap = true;
    expect([await legacy(), await modern()]).toEqual([['public'], ['public']]);
  },
);

test('servers of SDK 1 too', async () => {
  const definition = new McpServerV1(info);
  const tool = definition.registerTool('one', { inputSchema: { text: z.string() } }, () => ({
    content: [],
  }));
  const served = await serve(definition, { sharedLists: ['tools'] });
  const client = await opened(served);
  const first = await list(client);
  expect((await list(await opened(served))).result).toEqual(first.result);
  tool.disable();
  expect(namesOf(await list(client))).toEqual([]);
});

test('pages are bounded in bytes', () => {
  const lists = new SharedLists(['tools']);
  let asked = 0;
  const ask = (bytes: number, cursor: string | undefined, nextCursor: string): void =>
    void lists.around({} as never, { method: 'tools/list', params: { cursor } }, undefined, () => {
      asked += 1;
      return { tools: [{ name: 'x'.repeat(bytes) }], nextCursor };
    });
  const timesAsked = (bytes: number, cursor: string | undefined, nextCursor: string): number => {
    asked = 0;
    for (let n = 0; n < 2; n++) ask(bytes, cursor, nextCursor);
    return asked;
  };
  expect(timesAsked(5 * 1024 * 1024, undefined, 'a')).toBe(1);
  expect(timesAsked(5 * 1024 * 1024, 'a', 'b')).toBe(2);
  lists.changed('tools_list_changed');
  expect(timesAsked(9 * 1024 * 1024, undefined, 'a')).toBe(2);
});

test.each([false, true])(
  'an middleware wraps a shared list each time, and changes its own copy, or fails (modern: %s)',
  async (isModern) => {
    const { definition, count } = counting();
    let lists = 0;
    const served = await serve(definition, {
      sharedLists: ['tools'],
      middleware: async (request, next) => {
        const answer = await next();
        const tools = answer.result?.['tools'] as object[] | undefined;
        if (request.method !== 'tools/list' || tools === undefined || (lists += 1) === 1)
          return answer;
        if (lists === 2) tools.splice(0);
        else Reflect.set(answer.result as object, 'tools', []);
        return answer;
      },
    });
    const client = await opened(served);
    const ask = async () =>
      isModern ? (await callModern(served.client(), 'tools/list')).message : list(client);
    expect(namesOf(await ask())).toEqual(['first']);
    expect(await ask()).toMatchObject({ error: { code: -32603 } });
    expect(namesOf(await ask())).toEqual([]);
    lists = 0;
    expect(namesOf(await ask())).toEqual(['first']);
    expect(count()).toBe(1);
  },
);
