/**
 * Middleware that wraps the handler tables of a server in `connect()`, as frameworks do. It may be the authorization of
 * the application: when the server is given as one object, a refusal must hold in every session and request.
 */
import { createRequire } from 'node:module';
import { McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { describe, expect, test } from 'vitest';
import { currentSession, type McpEndpointOptions } from '../../../../src/index.ts';
import { memory } from '../../../../src/stores/memory/index.ts';
import type { RawClient } from '../../../kit/raw-client.ts';
import { callModern } from '../../../kit/modern.ts';
import { serve } from '../../../kit/serve.ts';
import { said } from '../../../kit/tool-server.ts';
import { until } from '../../../kit/until.ts';

const require = createRequire(import.meta.url);
const otherCopy = require('@modelcontextprotocol/server') as { McpServer: typeof McpServer };
const info = { name: 'guarded', version: '1.0.0' };
const LOGGING = { capabilities: { logging: {} } };

type Handler = (
  message: { method?: string; params?: { name?: string } },
  ...given: unknown[]
) => unknown;
type Table = Map<string, Handler>;
interface Tables {
  readonly _requestHandlers: Table;
  readonly _notificationHandlers: Table;
  setRequestHandler: unknown;
  fallbackRequestHandler: Handler | undefined;
}
type Connectable = new (...args: never[]) => {
  connect(transport: unknown): Promise<void>;
  readonly server: object;
};
type Apply = (server: { readonly server: object }) => void;

const tablesOf = ({ server }: { readonly server: object }): Tables => server as unknown as Tables;

/** What the middleware saw. */
let seen: string[] = [];

/** Refuses the tool `secret`, and every list of tools. */
const guard =
  (method: string, next: Handler): Handler =>
  async (message, ...given) => {
    seen.push(`${method} by ${currentSession()?.clientInfo.name ?? 'none'}`);
    if (message.params?.name === 'secret' || method === 'tools/list')
      throw new Error(`refused ${method}`);
    return next(message, ...given);
  };

const iterating: Apply = (server) => {
  for (const table of [tablesOf(server)._requestHandlers, tablesOf(server)._notificationHandlers]) {
    for (const [method, handler] of table) table.set(method, guard(method, handler));
    const set = table.set.bind(table);
    table.set = (method, handler) => set(method, guard(method, handler));
  }
};
const ways: Readonly<Record<string, Apply>> = {
  iteration: iterating,
  forEach: (server) => {
    const table = tablesOf(server)._requestHandlers;
    table.forEach((handler, method) => table.set(method, guard(method, handler)));
  },
  'keys and get': (server) => {
    const table = tablesOf(server)._requestHandlers;
    for (const method of table.keys())
      table.set(method, guard(method, table.get(method) as Handler));
  },
  'one get': (server) => {
    const table = tablesOf(server)._requestHandlers;
    for (const method of ['tools/call', 'tools/list'])
      if (table.has(method)) table.set(method, guard(method, table.get(method) as Handler));
  },
  'another table': (server) => {
    const wrapped = new Map<string, Handler>();
    const table = tablesOf(server)._requestHandlers;
    for (const [method, handler] of table.entries()) wrapped.set(method, guard(method, handler));
    Reflect.set(server.server, '_requestHandlers', wrapped);
  },
};

/** A subclass as a framework has it: the middleware is applied once per server. */
function guarded(Base: Connectable, apply: Apply): McpServer {
  class Guarded extends Base {
    applied = false;
    override async connect(transport: unknown): Promise<void> {
      if (!this.applied) {
        this.applied = true;
        apply(this);
      }
      return super.connect(transport);
    }
  }
  const server = new Guarded(...([info, LOGGING] as never[])) as unknown as McpServer;
  server.registerTool('open', {}, async () => {
    await server.sendLoggingMessage({ level: 'error', data: currentSession()?.clientInfo.name });
    return said(`open to ${currentSession()?.clientInfo.name}`);
  });
  server.registerTool('secret', {}, () => said('the secret'));
  return server;
}

const versions: Array<[string, Connectable]> = [
  ['2', McpServer],
  ['2 of another copy', otherCopy.McpServer],
  ['1', McpServerV1],
];

const call = async (client: RawClient, name: string): Promise<string> =>
  JSON.stringify((await client.call('tools/call', { name, arguments: {} })).message);
const list = async (client: RawClient): Promise<string> =>
  JSON.stringify((await client.call('tools/list')).message);

async function joined(client: RawClient, name: string): Promise<RawClient> {
  await client.initialize({ clientInfo: { name, version: '1' } });
  return client;
}

async function refuses(client: RawClient, name = 'ann'): Promise<void> {
  expect(await call(client, 'secret')).toMatch(/refused tools\/call/);
  expect(await list(client)).toMatch(/refused tools\/list/);
  expect(await call(client, 'open')).toContain(`open to ${name}`);
}

describe.each(versions)('middleware of a server of SDK %s', (version, Base) => {
  test.each(Object.entries(ways))(
    'refuses in each session, after a restore, without sessions: by %s',
    async (_name, apply) => {
      seen = [];
      const store = memory();
      const options: McpEndpointOptions = { store, sharedLists: ['tools'] };
      const { client, endpoint } = await serve(guarded(Base, apply), options);
      const clients = [await joined(client(), 'ann'), await joined(client(), 'bob')];
      await refuses(clients[0] as RawClient);
      await refuses(clients[1] as RawClient, 'bob');
      const other = await serve(guarded(Base, apply), options);
      await endpoint.drain();
      await refuses(other.client({ of: clients[0] }));
      // Once for each call.
      const calls = seen.filter((line) => line === 'tools/call by bob');
      expect(calls).toHaveLength(2);
      const stateless = await serve(guarded(Base, apply), {
        sessionMode: 'stateless',
        sharedLists: ['tools'],
      });
      await refuses(stateless.client(), 'undefined');
    },
  );

  test.skipIf(version === '1').each(Object.entries(ways))(
    'refuses in 2026-07-28: by %s',
    async (_name, apply) => {
      const { client } = await serve(guarded(Base, apply), { sharedLists: ['tools'] });
      for (const one of [client(), client()]) {
        const ask = async (method: string, params: Record<string, unknown> = {}): Promise<string> =>
          JSON.stringify((await callModern(one, method, params)).message);
        expect(await ask('tools/call', { name: 'secret', arguments: {} })).toMatch(
          /refused tools\/call/,
        );
        expect(await ask('tools/list')).toMatch(/refused tools\/list/);
        expect(await ask('tools/call', { name: 'open', arguments: {} })).toContain('open to');
      }
    },
  );

  test('wraps each session once, when it is bound to the one object', async () => {
    seen = [];
    const server = guarded(Base, () => {});
    const connect = server.connect.bind(server);
    server.connect = async (transport) => {
      iterating(server);
      await connect(transport);
    };
    const { client } = await serve(server);
    const clients = await Promise.all(['ann', 'bob', 'cat'].map((name) => joined(client(), name)));
    for (const [n, one] of clients.entries()) await refuses(one, ['ann', 'bob', 'cat'][n]);
    expect(seen.filter((line) => line.startsWith('tools/call'))).toHaveLength(6);
  });

  test('sees notifications, and its own fallback', async () => {
    seen = [];
    const server = guarded(Base, (made) => {
      iterating(made);
      const { fallbackRequestHandler: next } = tablesOf(made);
      if (next !== undefined) tablesOf(made).fallbackRequestHandler = guard('fallback', next);
    });
    server.server.fallbackRequestHandler = async ({ method }) => ({ fallback: method });
    const { client } = await serve(server);
    const one = await joined(client(), 'ann');
    expect((await one.call('own/method')).message.result).toEqual({ fallback: 'own/method' });
    expect((await one.call('own/method', { name: 'secret' })).message.error).toMatchObject({
      code: -32603,
    });
    await until(() => seen.includes('notifications/initialized by ann'));
    expect(seen).toContain('fallback by ann');
  });

  test('finds a whole table, and what it sets stays in its session', async () => {
    const found: unknown[] = [];
    const server = guarded(Base, (made) => {
      const table = tablesOf(made)._requestHandlers;
      const methods = [...table.keys()];
      found.push(
        methods.includes('tools/call'),
        table.size === methods.length,
        [...table.values()].length === table.size,
      );
      found.push(
        table.has('tools/list'),
        table.has('own/none'),
        table.get('own/none'),
        new Map(table).size === table.size,
      );
    });
    server.registerTool('change', {}, async () => {
      const own = currentSession()?.server as McpServer;
      const table = tablesOf(own)._requestHandlers;
      found.length = 0;
      found.push(
        table.delete('ping'),
        table.delete('ping'),
        table.has('ping'),
        [...table.keys()].includes('ping'),
      );
      table.set('own/added', () => ({ own: currentSession()?.clientInfo.name }));
      return said('changed');
    });
    const { client } = await serve(server);
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    expect(found.slice(0, 7)).toEqual([true, true, true, true, false, undefined, true]);
    await call(one, 'change');
    expect(found).toEqual([true, false, false, false]);
    expect((await one.call('ping')).message.error).toMatchObject({ code: -32601 });
    expect((await one.call('own/added')).message.result).toEqual({ own: 'ann' });
    expect((await two.call('ping')).message.result).toEqual({});
    expect((await two.call('own/added')).message.error).toMatchObject({ code: -32601 });
  });

  test('cannot run a handler of one session for another session, or for none', async () => {
    let first: Handler | undefined;
    const server = guarded(Base, (made) => {
      const table = tablesOf(made)._requestHandlers;
      first ??= table.get('tools/call') as Handler;
      const kept = first;
      table.set('tools/call', async (...args) => kept(...args));
    });
    const { client } = await serve(server);
    const [one, two] = [await joined(client(), 'ann'), await joined(client(), 'bob')];
    const stream = await one.get();
    expect(await call(two, 'open')).toMatch(/outside of a request of that session.*pass a factory/);
    expect(await call(one, 'open')).toContain('open to ann');
    expect(() => first?.({ params: { name: 'open' } }, {})).toThrow(/pass a factory/);
    // Not their ids, which are random texts.
    expect(JSON.stringify(stream.events.map(({ data }) => data))).not.toContain('bob');
  });
});
