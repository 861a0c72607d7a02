/**
 * `auth.authorize` in every mode and era: a name that the caller may not use is answered exactly like a name that does
 * not exist, nothing of it runs, and lists leave it out.
 */
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { McpEndpointFactory } from '../../src/index.ts';
import { inMatrix } from '../kit/matrix.ts';
import { postModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { gate, loseLease, watchedStore } from '../kit/watched-store.ts';
import {
  as,
  concealed,
  HOOKS,
  MODES,
  NAMES,
  open,
  optionsOf,
  requestsOf,
  text,
} from './authorize-modes.ts';
import { body } from '../kit/ways.ts';

useSharedStores();

// The SDK warns about some names of tools.
beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {});
});

const ALL = Object.entries(HOOKS);
/** What a hook says is read in one place: each way has the hook that answers later, and most have another one. */
const WAYS = Object.entries(MODES).map(([way, start], n) => {
  const some = ALL.filter(([name], at) => name === 'later' || at === n % ALL.length);
  return [way, start, inMatrix(ALL, some)] as const;
});

describe.each(WAYS)('%s', (_way, start, hooks) => {
  test.each(hooks)('B183 authorize refuses like an unknown name, %s', async (_hook, authorize) => {
    const { ask, ran, ...way } = await start(authorize);
    for (const [method, params, names] of requestsOf(way)) {
      for (const name of names) {
        const got = await ask(method, params(name));
        // Something of the same kind that does not exist.
        const expected = await ask(method, params(name.replace('secret', 'nothing')));
        expect(got.status).toBe(expected.status);
        expect(text(got.answer)).toBe(text(expected.answer).replaceAll('nothing', 'secret'));
      }
    }
    expect(ran).toEqual([]);
  });

  test('serves what is allowed', async () => {
    const { ask, ran } = await start(HOOKS['later']);
    expect(text((await ask('tools/call', { name: 'open', arguments: {} })).answer)).toContain(
      '"open"',
    );
    expect(text((await ask('resources/read', { uri: 'vault://7' })).answer)).toContain('vault://7');
    expect((await ask('prompts/get', { name: 'open' })).answer).toHaveProperty('result.messages');
    expect(text((await ask('resources/read', { uri: 'note://secret' }, 'admin')).answer)).toContain(
      'note://secret',
    );
    expect(ran).toEqual(['note://secret']);
  });

  test.each(hooks)('B184 lists leave out what authorize refuses, %s', async (_hook, authorize) => {
    const { ask } = await start(authorize);
    const names = async (method: string, member: string, key: string, role?: string) => {
      const { answer } = await ask(method, {}, role);
      const items =
        (answer as { result: Record<string, Array<Record<string, string>>> }).result[member] ?? [];
      return items.map((item) => item[key]);
    };
    expect(await names('tools/list', 'tools', 'name')).toEqual(['open']);
    expect(await names('tools/list', 'tools', 'name', 'admin')).toEqual(['open', ...NAMES]);
    expect(await names('prompts/list', 'prompts', 'name')).toEqual(['open']);
    expect(await names('resources/list', 'resources', 'uri')).toEqual(['note://open']);
    expect(await names('resources/templates/list', 'resourceTemplates', 'uriTemplate')).toEqual([
      'vault://{id}',
    ]);
  });
});

test('each request of a batch is decided by itself', async () => {
  const { ran, served } = await open(optionsOf(HOOKS['later']));
  const client = await served.openSession({ protocolVersion: '2025-03-26', ...as('user') });
  const response = await client.post(
    [
      body('tools/call', { name: 'open', arguments: {} }),
      body('tools/call', { name: 'secret', arguments: {} }),
      body('tools/list', {}),
    ],
    as('user'),
  );
  const answers = [
    await response.nextMessage(),
    await response.nextMessage(),
    await response.nextMessage(),
  ];
  const all = text(answers);
  expect(all).toContain('Tool secret not found');
  expect(all).not.toContain('sojourn-unknown');
  expect(ran).toEqual([]);
});

test('a subscriptions/listen asks once about URIs that are equal, and about a bounded number of them', async () => {
  const asked: string[] = [];
  const authorize: Parameters<typeof optionsOf>[0] = (kind, name) => {
    asked.push(`${kind} ${name}`);
    return true;
  };
  const { served } = await open(optionsOf(authorize));
  const listen = (count: number) => {
    const params = {
      notifications: { resourceSubscriptions: Array<string>(count).fill('note://open') },
    };
    return postModern(served.client(), 'subscriptions/listen', params, as('user'));
  };
  expect((await listen(1_000)).status).toBe(200);
  expect(asked).toEqual(['resource note://open']);
  expect((await listen(65_536)).status).toBe(400);
  expect(asked).toHaveLength(1);
});

test.each([
  ['a factory', (factory: () => McpServerV1) => factory],
  ['one server', (factory: () => McpServerV1) => factory()],
])('%s of SDK version 1 is filtered and answers as it answers unknown names', async (_, give) => {
  const ran: string[] = [];
  const factory = () => {
    const server = new McpServerV1({ name: 'v1', version: '1' });
    server.registerTool('open', {}, () => ({ content: [] }));
    for (const name of NAMES) {
      server.registerTool(name, {}, () => {
        ran.push(name);
        return { content: [] };
      });
    }
    return server;
  };
  const { openSession } = await serve(
    give(factory),
    optionsOf(HOOKS['at once'], { sessionMode: 'stateful' }),
  );
  const one = await openSession(as('user'));
  const call = async (name: string) =>
    (await one.call('tools/call', { name, arguments: {} }, as('user'))).message;
  const [refused, unknown] = [await call('secret'), await call('nothing')];
  expect(text({ ...refused, id: 0 })).toBe(
    text({ ...unknown, id: 0 }).replaceAll('nothing', 'secret'),
  );
  for (const name of NAMES)
    expect(text(await call(name))).toContain(`Tool ${text(name).slice(1, -1)} not found`);
  expect(ran).toEqual([]);
  const { message } = await one.call('tools/list', {}, as('user'));
  expect(text(message)).not.toContain('secret');
});

test('B185 an authorize that hangs refuses after hookTimeoutMs', async () => {
  const { ran, served } = await open(optionsOf(() => new Promise(() => {}), { hookTimeoutMs: 50 }));
  const client = await served.openSession(as('user'));
  const { message } = await client.call('tools/call', { name: 'open', arguments: {} }, as('user'));
  expect(text(message)).toContain('Tool open not found');
  expect(ran).toEqual([]);
});

const capabilities = { resources: { subscribe: true } };

/** The hook is asked about the names that the client sent, and what it refuses by then does not run. */
describe('an instance takes over', () => {
  /** A read that waits for the test at the first instance. `may` decides, before and after. */
  async function lost(uri: string, may: (uri: string, after: boolean) => boolean) {
    const connect = sharedStore('sqlite');
    const store = watchedStore({ durable: true, inner: connect() });
    const waits = gate();
    onTestFinished(() => waits.open());
    const state = { after: false, got: [] as string[], asked: [] as string[] };
    const factory: McpEndpointFactory = (ctx) => {
      const server = new McpServer(
        { name: 'x', version: '1' },
        { ...ctx.serverOptions, capabilities },
      );
      server.registerResource(
        'any',
        new ResourceTemplate('{+any}', { list: undefined }),
        {},
        async ({ href }) => {
          state.got.push(href);
          if (!state.after) await waits.hook();
          return { contents: [{ uri: href, text: `read ${href}` }] };
        },
      );
      server.server.setRequestHandler('resources/subscribe', ({ params }) => {
        state.got.push(params.uri);
        return {};
      });
      return server;
    };
    const options = optionsOf((_kind, name) => {
      state.asked.push(name);
      return may(name, state.after);
    });
    const first = await serve(factory, { ...options, store });
    const second = await serve(factory, { ...options, store: connect() });
    const client = await first.openSession({ protocolVersion: '2025-11-25', ...as('user') });
    const other = second.client({ of: client });
    const fail = async (): Promise<void> => {
      state.after = true;
      state.got.length = 0;
      state.asked.length = 0;
      await loseLease(store, first.endpoint.health().instance);
    };
    const read = async () => {
      const stream = await client.post(body('resources/read', { uri }), as('user'));
      const { id: lastEventId } = await stream.next();
      await until(() => state.got.length > 0);
      await fail();
      const resumed = await other.get({ lastEventId, ...as('user') });
      return JSON.stringify(await resumed.nextMessage());
    };
    return { client, other, state, fail, read };
  }

  test.each([
    [true, true],
    [false, true],
    [false, false],
    [true, false],
  ])(
    'a call is asked about by the name that was sent; allowed before: %s, and now: %s',
    async (before, now) => {
      for (const uri of [`${concealed('note://open')}=secret`, ' NOTE://secret']) {
        const { href } = new URL(uri);
        const { state, read } = await lost(
          uri,
          (name, after) => name !== href || (after ? now : before),
        );
        const answer = await read();
        expect(answer).toContain(`read ${now ? href : uri}`);
        expect(state.asked).toEqual([...new Set([uri, href])]);
        // The server of this test has every name.
        expect(state.got).toEqual([
          now ? href : expect.stringMatching(/^sojourn-unknown:[\w-]{43}$/),
        ]);
      }
    },
  );

  test('subscriptions are repeated to a server only where the hook allows them', async () => {
    const { client, other, state, fail } = await lost(
      '',
      (name, after) => name === 'note://open' || !after,
    );
    for (const uri of ['note://secret', 'note://open'])
      await client.call('resources/subscribe', { uri }, as('user'));
    await fail();
    await other.call('ping', {}, as('user'));
    expect(state.got).toEqual(['note://open']);
  });

  test('a subscription that was refused is not recorded', async () => {
    const { client, other, state, fail } = await lost('', (_name, after) => after);
    await client.call('resources/subscribe', { uri: 'note://secret' }, as('user'));
    await fail();
    await other.call('ping', {}, as('user'));
    expect(state.got).toEqual([]);
  });
});
