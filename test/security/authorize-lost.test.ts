/**
 * `auth.authorize` where another instance takes a session over: the hook is asked about the names that the client sent,
 * and what it refuses by then does not run.
 */
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointFactory } from '../../src/index.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { gate, loseLease, watchedStore } from '../kit/watched-store.ts';
import { as, concealed, optionsOf } from './authorize-modes.ts';
import { body } from './ways.ts';

useSharedStores();

const capabilities = { resources: { subscribe: true } };

describe('an instance takes over', () => {
  /** A read that waits for the test at the first instance. `may` decides, before and after. */
  async function lost(uri: string, may: (uri: string, after: boolean) => boolean) {
    const connect = sharedStore('sqlite');
    const store = watchedStore({ durable: true, inProcess: false, inner: connect() });
    const waits = gate();
    onTestFinished(() => waits.open());
    const state = { after: false, got: [] as string[], asked: [] as string[] };
    const factory: McpEndpointFactory = (ctx) => {
      const server = new McpServer({ name: 'x', version: '1' }, { ...ctx.serverOptions, capabilities });
      server.registerResource('any', new ResourceTemplate('{+any}', { list: undefined }), {}, async ({ href }) => {
        state.got.push(href);
        if (!state.after) await waits.hook();
        return { contents: [{ uri: href, text: `read ${href}` }] };
      });
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
  ])('a call is asked about by the name that was sent; allowed before: %s, and now: %s', async (before, now) => {
    for (const uri of [`${concealed('note://open')}=secret`, ' NOTE://secret']) {
      const { href } = new URL(uri);
      const { state, read } = await lost(uri, (name, after) => name !== href || (after ? now : before));
      const answer = await read();
      expect(answer).toContain(`read ${now ? href : uri}`);
      expect(state.asked).toEqual([...new Set([uri, href])]);
      // The server of this test has every name.
      expect(state.got).toEqual([now ? href : expect.stringMatching(/^sojourn-unknown:[\w-]{43}$/)]);
    }
  });

  test('subscriptions are repeated to a server only where the hook allows them', async () => {
    const { client, other, state, fail } = await lost('', (name, after) => name === 'note://open' || !after);
    for (const uri of ['note://secret', 'note://open']) await client.call('resources/subscribe', { uri }, as('user'));
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
