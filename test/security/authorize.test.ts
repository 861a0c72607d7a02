/**
 * `auth.authorize` in every mode and era: a name that the caller may not use is answered exactly like a name that does
 * not exist, nothing of it runs, and lists leave it out. `let in` is what ran all the same.
 */
import { completable, McpServer, requireScopes, ResourceTemplate, type AuthInfo } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { AuthOptions, McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import { bearer } from '../kit/issuer.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { serve, type Face, type Served } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { countAttempts } from './attempts.ts';

useSharedStores();

const counted = countAttempts('scopes and rights');

const info = (token: string): AuthInfo => ({
  token,
  clientId: 'c',
  scopes: [],
  expiresAt: Math.floor(Date.now() / 1_000) + 600,
  extra: { sub: 'ada', role: token },
});

/** The caller `admin` may use everything; others nothing whose name says `secret`. */
const may = (name: string, { extra }: AuthInfo): boolean => extra?.['role'] === 'admin' || !name.includes('secret');

const HOOKS: Readonly<Record<string, AuthOptions['authorize']>> = {
  'at once': (_kind, name, authInfo) => may(name, authInfo),
  later: async (_kind, name, authInfo) => {
    await new Promise((turn) => setImmediate(turn));
    return may(name, authInfo);
  },
  'by throwing': (_kind, name, authInfo) => {
    if (!may(name, authInfo)) throw new Error('the policy engine is away');
    return true;
  },
  'with what is not a boolean': ((_kind: string, name: string, authInfo: AuthInfo) =>
    may(name, authInfo) || 'no') as never,
};

const optionsOf = (authorize: AuthOptions['authorize'], more: McpEndpointOptions = {}): McpEndpointOptions => ({
  auth: { verify: async (token) => info(token), authorize },
  ...more,
});

function secretServer() {
  const ran: string[] = [];
  const factory: McpEndpointFactory = (ctx) => {
    const server = new McpServer(
      { name: 'secrets', version: '1' },
      { ...ctx.serverOptions, capabilities: { resources: { subscribe: true } } },
    );
    const run = (name: string) => {
      if (name.includes('secret')) ran.push(name);
      return said(name);
    };
    const inputSchema = z.looseObject({});
    server.registerTool('open', { inputSchema }, () => run('open'));
    server.registerTool('secret', { inputSchema, scopeChallenge: requireScopes('x') }, () => run('secret'));
    const read = (uri: URL) => {
      run(uri.href);
      return { contents: [{ uri: uri.href, text: uri.href }] };
    };
    server.registerResource('open', 'note://open', {}, read);
    server.registerResource('secret', 'note://secret', {}, read);
    server.registerResource('by id', new ResourceTemplate('vault://{id}', { list: undefined }), {}, read);
    server.registerResource(
      'secret by id',
      new ResourceTemplate('secret://{id}', {
        list: undefined,
        complete: { id: (text) => [run(`secret ${text}`).content.length.toString()] },
      }),
      {},
      read,
    );
    const message = { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'x' } }] };
    server.registerPrompt('open', {}, () => message);
    server.registerPrompt(
      'secret',
      { argsSchema: z.object({ a: completable(z.string(), () => [run('secret').content.length.toString()]) }) },
      () => {
        ran.push('secret prompt');
        return message;
      },
    );
    server.server.setRequestHandler('resources/subscribe', () => ({}));
    server.server.setRequestHandler('resources/unsubscribe', () => ({}));
    return server;
  };
  return { ran, factory };
}

type Params = Record<string, unknown>;
type Ask = (method: string, params?: Params, role?: string) => Promise<{ status: number; answer: unknown }>;
interface Mode {
  readonly ran: string[];
  readonly served: Served;
  readonly ask: Ask;
  readonly subscribes: boolean;
}

let ids = 1_000;
const body = (method: string, params: Params) => ({ jsonrpc: '2.0', id: (ids += 1), method, params });
const as = (role: string) => bearer(role);

async function open(options: McpEndpointOptions, face: Face = 'listen') {
  const { ran, factory } = secretServer();
  return { ran, served: await serve(factory, options, { face }) };
}

const inSession =
  (protocolVersion: string, more: McpEndpointOptions = {}, face?: Face) =>
  async (authorize: AuthOptions['authorize']): Promise<Mode> => {
    const { ran, served } = await open(optionsOf(authorize, more), face);
    const client = served.client();
    await client.initialize({ protocolVersion, ...as('user') });
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { response, message } = await client.call(method, params, as(role));
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served, ask, subscribes: true };
  };

const inModern =
  (more: McpEndpointOptions = {}, factoryOf?: (factory: McpEndpointFactory) => McpEndpointFactory) =>
  async (authorize: AuthOptions['authorize']): Promise<Mode> => {
    const { ran, factory } = secretServer();
    const served = await serve(factoryOf?.(factory) ?? factory, optionsOf(authorize, more));
    const client = served.client();
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { response, message } = await callModern(client, method, params, as(role));
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served, ask, subscribes: false };
  };

const MODES: Readonly<Record<string, (authorize: AuthOptions['authorize']) => Promise<Mode>>> = {
  'sessions, 2025-11-25': inSession('2025-11-25'),
  'sessions, 2025-06-18, node': inSession('2025-06-18', {}, 'node'),
  'sessions, 2025-03-26, JSON, fetch': inSession('2025-03-26', { responseMode: 'json' }, 'fetch'),
  'stateless, 2025-11-25': async (authorize) => {
    const { ran, served } = await open(optionsOf(authorize, { sessionMode: 'stateless' }));
    const client = served.client();
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { response, message } = await client.call(method, params, { version: '2025-11-25', ...as(role) });
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served, ask, subscribes: true };
  },
  'legacy SSE': async (authorize) => {
    const { ran, served } = await open(optionsOf(authorize, { legacySse: true }));
    const connection = await openSse(served.client(as('user')));
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { status } = await connection.post(body(method, params), as(role));
      return { status, answer: { ...((await connection.stream.nextMessage()) as object), id: 0 } };
    };
    return { ran, served, ask, subscribes: true };
  },
  '2026-07-28': inModern(),
  '2026-07-28, JSON': inModern({ responseMode: 'json' }),
  '2026-07-28, streams': inModern({ responseMode: 'sse' }),
  '2026-07-28, a factory that leaves ctx.serverOptions': inModern(
    {},
    (factory) => (ctx) => factory({ ...ctx, serverOptions: {} }),
  ),
  'relayed from another instance': async (authorize) => {
    const { ran, factory } = secretServer();
    const store = sharedStore('sqlite');
    const owner = await serve(factory, optionsOf(authorize, { store: store() }));
    const served = await serve(factory, optionsOf(authorize, { store: store() }));
    const opener = owner.client();
    await opener.initialize({ protocolVersion: '2025-11-25', ...as('user') });
    const client = served.client();
    client.sessionId = opener.sessionId;
    client.protocolVersion = opener.protocolVersion;
    for (let n = 0; n < 100; n++) client.nextId();
    const ask: Ask = async (method, params = {}, role = 'user') => {
      const { response, message } = await client.call(method, params, as(role));
      return { status: response.status, answer: { ...message, id: 0 } };
    };
    return { ran, served: owner, ask, subscribes: true };
  },
};

/** What is refused, beside something of the same kind that does not exist. */
const PAIRS: ReadonlyArray<readonly [method: string, refused: Params, unknown: Params]> = [
  ['tools/call', { name: 'secret', arguments: {} }, { name: 'nothing', arguments: {} }],
  ['tools/call', { name: 'secret "quoted"', arguments: {} }, { name: 'nothing "quoted"', arguments: {} }],
  ['prompts/get', { name: 'secret', arguments: { a: 'x' } }, { name: 'nothing', arguments: { a: 'x' } }],
  ['resources/read', { uri: 'note://secret' }, { uri: 'note://nothing' }],
  ['resources/read', { uri: 'secret://7' }, { uri: 'nothing://7' }],
  [
    'completion/complete',
    { ref: { type: 'ref/prompt', name: 'secret' }, argument: { name: 'a', value: 'x' } },
    { ref: { type: 'ref/prompt', name: 'nothing' }, argument: { name: 'a', value: 'x' } },
  ],
  [
    'completion/complete',
    { ref: { type: 'ref/resource', uri: 'secret://{id}' }, argument: { name: 'id', value: 'x' } },
    { ref: { type: 'ref/resource', uri: 'nothing://{id}' }, argument: { name: 'id', value: 'x' } },
  ],
];
const SUBSCRIBE: (typeof PAIRS)[number] = ['resources/subscribe', { uri: 'note://secret' }, { uri: 'note://nothing' }];

const text = (answer: unknown): string => JSON.stringify(answer);
const count = { attempts: 0, letIn: 0 };

describe.each(Object.entries(MODES))('%s', (_mode, start) => {
  test.each(Object.entries(HOOKS))('refuses like an unknown name, %s', async (_hook, authorize) => {
    const { ask, ran, subscribes } = await start(authorize);
    for (const [method, refused, unknown] of subscribes ? [...PAIRS, SUBSCRIBE] : PAIRS) {
      const [got, expected] = [await ask(method, refused), await ask(method, unknown)];
      count.attempts += 1;
      expect(got.status).toBe(expected.status);
      expect(text(got.answer)).toBe(text(expected.answer).replaceAll('nothing', 'secret'));
    }
    count.letIn += ran.length;
    expect(ran).toEqual([]);
  });

  test('serves what is allowed', async () => {
    const { ask, ran } = await start(HOOKS['later']);
    expect(text((await ask('tools/call', { name: 'open', arguments: {} })).answer)).toContain('"open"');
    expect(text((await ask('resources/read', { uri: 'vault://7' })).answer)).toContain('vault://7');
    expect((await ask('prompts/get', { name: 'open' })).answer).toHaveProperty('result.messages');
    expect(text((await ask('resources/read', { uri: 'note://secret' }, 'admin')).answer)).toContain('note://secret');
    expect(ran).toEqual(['note://secret']);
  });

  test.each(Object.entries(HOOKS))('lists leave out what is refused, %s', async (_hook, authorize) => {
    const { ask } = await start(authorize);
    const names = async (method: string, member: string, key: string, role?: string) => {
      const { answer } = await ask(method, {}, role);
      const items = (answer as { result: Record<string, Array<Record<string, string>>> }).result[member] ?? [];
      return items.map((item) => item[key]);
    };
    expect(await names('tools/list', 'tools', 'name')).toEqual(['open']);
    expect(await names('tools/list', 'tools', 'name', 'admin')).toEqual(['open', 'secret']);
    expect(await names('prompts/list', 'prompts', 'name')).toEqual(['open']);
    expect(await names('resources/list', 'resources', 'uri')).toEqual(['note://open']);
    expect(await names('resources/templates/list', 'resourceTemplates', 'uriTemplate')).toEqual(['vault://{id}']);
  });
});

test('each request of a batch is decided by itself', async () => {
  const { ran, served } = await open(optionsOf(HOOKS['later']));
  const client = served.client();
  await client.initialize({ protocolVersion: '2025-03-26', ...as('user') });
  const response = await client.post(
    [
      body('tools/call', { name: 'open', arguments: {} }),
      body('tools/call', { name: 'secret', arguments: {} }),
      body('tools/list', {}),
    ],
    as('user'),
  );
  const answers = [await response.nextMessage(), await response.nextMessage(), await response.nextMessage()];
  const all = text(answers);
  expect(all).toContain('Tool secret not found');
  expect(all).not.toContain('sojourn-unknown');
  expect(ran).toEqual([]);
});

test('a subscriptions/listen is acknowledged like one for an unknown resource, and brings no event', async () => {
  const { served } = await open(optionsOf(HOOKS['later']));
  const client = served.client();
  const resourceSubscriptions = ['note://secret', 'note://open'];
  const params = { notifications: { resourceSubscriptions } };
  const stream = await postModern(client, 'subscriptions/listen', params, as('user'));
  expect(await stream.nextMessage()).toMatchObject({
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: { resourceSubscriptions } },
  });
  served.endpoint.notify.resourceUpdated('note://secret');
  served.endpoint.notify.resourceUpdated('note://open');
  expect(await stream.nextMessage()).toMatchObject({ params: { uri: 'note://open' } });
});

test('a server of SDK version 1 is filtered and answers as it answers unknown names', async () => {
  const ran: string[] = [];
  const factory: McpEndpointFactory = () => {
    const server = new McpServerV1({ name: 'v1', version: '1' });
    server.registerTool('open', {}, () => ({ content: [] }));
    server.registerTool('secret', {}, () => {
      ran.push('secret');
      return { content: [] };
    });
    return server;
  };
  const { client } = await serve(factory, optionsOf(HOOKS['at once'], { sessionMode: 'stateful' }));
  const one = client();
  await one.initialize(as('user'));
  const call = async (name: string) => (await one.call('tools/call', { name, arguments: {} }, as('user'))).message;
  const [refused, unknown] = [await call('secret'), await call('nothing')];
  expect(text({ ...refused, id: 0 })).toBe(text({ ...unknown, id: 0 }).replaceAll('nothing', 'secret'));
  expect(ran).toEqual([]);
  const { message } = await one.call('tools/list', {}, as('user'));
  expect(text(message)).not.toContain('secret');
});

test('a hook that hangs refuses after hookTimeoutMs', async () => {
  const { ran, served } = await open(optionsOf(() => new Promise(() => {}), { hookTimeoutMs: 50 }));
  const client = served.client();
  await client.initialize(as('user'));
  const { message } = await client.call('tools/call', { name: 'open', arguments: {} }, as('user'));
  expect(text(message)).toContain('Tool open not found');
  expect(ran).toEqual([]);
});

test('a lost call does not run again for a caller who may not use the tool any more', async () => {
  const connect = sharedStore('sqlite');
  const store = watchedStore({ durable: true, inProcess: false, inner: connect() });
  const waits = gate();
  onTestFinished(() => waits.open());
  const ran: string[] = [];
  let revoked = false;
  const factoryOf =
    (who: string): McpEndpointFactory =>
    (ctx) => {
      const server = new McpServer({ name: 'x', version: '1' }, { ...ctx.serverOptions });
      server.registerTool('peek', { annotations: { readOnlyHint: true } }, async () => {
        ran.push(who);
        await waits.hook();
        return said(who);
      });
      return server;
    };
  const options = optionsOf((_kind, name) => !(revoked && name === 'peek'));
  const first = await serve(factoryOf('first'), { ...options, store });
  const second = await serve(factoryOf('second'), { ...options, store: connect() });
  const client = first.client();
  await client.initialize({ protocolVersion: '2025-11-25', ...as('user') });
  await client.call('tools/list', {}, as('user'));
  const stream = await client.post(body('tools/call', { name: 'peek', arguments: {} }), as('user'));
  const primed = await stream.next();
  await until(() => ran.length === 1);
  revoked = true;
  await store.views[0]?.instances.leave(first.endpoint.health().instance);
  const other = second.client();
  other.sessionId = client.sessionId;
  other.protocolVersion = client.protocolVersion;
  const resumed = await other.get({ lastEventId: primed.id, ...as('user') });
  count.attempts += 1;
  const answer = text(await resumed.nextMessage());
  expect(answer).toMatch(/Tool peek not found|owner_lost/);
  count.letIn += ran.length - 1;
  expect(ran).toEqual(['first']);
});

test('of all these attempts none was let in', ({ annotate }) => {
  expect(count.letIn).toBe(0);
  expect(count.attempts).toBeGreaterThanOrEqual(250);
  void annotate(`${count.attempts} attempts, ${count.letIn} let in`);
  counted.made(count.attempts, count.letIn);
});
