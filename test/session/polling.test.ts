/** `enablePolling()`: a long call holds no connection between the polls of its client. */
import { describe, expect, test } from 'vitest';
import { enablePolling, type McpEndpointOptions } from '../../src/index.ts';
import type { InitializeOptions, RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, saidOn, textOf, tool, type Lab, toolCall } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

useSharedStores();

interface Slow {
  readonly polls: boolean;
  notify(data: string): Promise<void>;
  answer(text: string): void;
}

/** A tool `slow` that lets its client poll every 1,234 ms, and then waits for the test. */
function slowLab(): { lab: Lab; calls: Slow[] } {
  const calls: Slow[] = [];
  const lab = createLab((server) => {
    server.registerTool('slow', {}, async (ctx) => {
      // Also after an `await`.
      await Promise.resolve();
      const polls = enablePolling({ retryMs: 1_234 });
      const text = await new Promise<string>((answer) => {
        const notify = (data: string) =>
          ctx.mcpReq.notify({ method: 'notifications/message', params: { level: 'error', data } });
        calls.push({ polls, notify, answer });
      });
      return { content: [{ type: 'text', text }] };
    });
  });
  return { lab, calls };
}

const slow = toolCall('s', 'slow');

/** Polls once: the whole response. */
async function poll(client: RawClient, before: RawResponse): Promise<RawResponse> {
  const response = await client.get({ lastEventId: before.lastId });
  await response.untilEnd();
  expect(response.ending).toBe('complete');
  return response;
}

describe.each(storeKinds)('on the store %s', (kind) => {
  test.each([
    ['the owner', 0, 0],
    ['another instance', 1, 1],
    ['every instance in turn', 0, 1],
  ])(
    'B122 with enablePolling() each poll of %s gets what is new and ends at once, and the answer comes with the poll after it',
    async (_, one, two) => {
      const labs = [slowLab(), slowLab()];
      const members = await serveFleet(
        2,
        { store: sharedStore(kind) },
        [{ face: 'node' }, { face: 'fetch' }],
        labs.map(({ lab }) => lab),
      );
      const [a] = members;
      const opened = await a.openSession();
      const [first, second] = [one, two].map((n) => members[n]?.join(opened)) as [
        RawClient,
        RawClient,
      ];
      const post = await first.post(slow);
      await post.untilEnd();
      expect(post.ending).toBe('complete');
      expect(post.events.at(-1)).toMatchObject({ retry: 1_234, data: '' });
      const call = await until(() => labs[0]?.calls[0] as Slow);
      expect(call.polls).toBe(true);
      let before = post;
      const ids = new Set([post.lastId]);
      for (let n = 0; n < 8; n++) {
        before = await poll(n % 2 === 0 ? second : first, before);
        expect(before.events).toMatchObject([{ retry: 1_234, data: '' }]);
        ids.add(before.lastId);
      }
      // Clients give up after some ends without a new id.
      expect(ids.size).toBe(9);
      await call.notify('half');
      before = await poll(second, before);
      expect(saidOn(before)).toEqual(['half']);
      before = await poll(first, before);
      expect(saidOn(before)).toEqual([]);
      await call.notify('almost');
      call.answer('done');
      const last = await poll(second, before);
      expect(saidOn(last)).toEqual(['almost', 'done']);
      expect((await second.get({ lastEventId: last.lastId })).status).toBe(204);
    },
  );
});

describe.each(faces)('over %s', (face) => {
  test('without retryMs the client polls every `retryMs` of the endpoint', async () => {
    const plain = createLab((server) =>
      server.registerTool('slow', {}, async () => {
        enablePolling();
        return { content: [{ type: 'text', text: String(await new Promise(() => {})) }] };
      }),
    );
    const one = (await serve(plain.factory, { retryMs: 777 }, { face })).client();
    await one.initialize();
    const post = await one.post(slow);
    await post.untilEnd();
    expect(post.events.at(-1)).toMatchObject({ retry: 777, data: '' });
  });

  test.each<[string, McpEndpointOptions, InitializeOptions]>([
    ['without an event log', { eventRetention: false }, {}],
    ["with responseMode 'json'", { responseMode: 'json' }, {}],
    ['before 2025-11-25', {}, { protocolVersion: '2025-06-18' }],
    ['without sessions', { sessionMode: 'stateless' }, {}],
    // It is known not to come back.
    ['for VS Code', {}, { clientInfo: { name: 'Visual Studio Code', version: '1' } }],
  ])(
    '%s it returns false, and the response stays open until the answer',
    async (_, options, client) => {
      const { lab, calls } = slowLab();
      const one = (await serve(lab.factory, options, { face })).client();
      await one.initialize(client);
      const called = one.call(...tool('slow'));
      const call = await until(() => calls[0] as Slow);
      expect(call.polls).toBe(false);
      call.answer('at once');
      expect(textOf((await called).message)).toBe('at once');
    },
  );

  test('it returns false on 2026-07-28 and outside of a handler', async () => {
    const { lab, calls } = slowLab();
    const one = (await serve(lab.factory, {}, { face })).client();
    const called = callModern(one, 'tools/call', { name: 'slow', arguments: {} });
    const call = await until(() => calls[0] as Slow);
    expect([call.polls, enablePolling()]).toEqual([false, false]);
    call.answer('modern');
    expect(textOf((await called).message)).toBe('modern');
  });
});

test.each([-1, 0.5, Infinity, Number.NaN, '5' as never])('retryMs %s is refused', (retryMs) => {
  expect(() => enablePolling({ retryMs })).toThrow(/retryMs of enablePolling\(\)/);
});

test('a client that was away when polling began, polls when it comes back', async () => {
  let begin!: () => void;
  const began = new Promise<void>((resolve) => (begin = resolve));
  let polls: boolean | undefined;
  let answer!: (text: string) => void;
  const lab = createLab((server) =>
    server.registerTool('slow', {}, async () => {
      await began;
      polls = enablePolling({ retryMs: 55 });
      return {
        content: [
          { type: 'text', text: await new Promise<string>((resolve) => (answer = resolve)) },
        ],
      };
    }),
  );
  const one = (await serve(lab.factory)).client();
  await one.initialize();
  const post = await one.post(slow);
  await post.next();
  post.abort();
  begin();
  await until(() => polls !== undefined);
  expect(polls).toBe(true);
  const empty = await poll(one, post);
  expect(empty.events.at(-1)).toMatchObject({ retry: 55, data: '' });
  answer('there');
  expect(saidOn(await poll(one, empty))).toEqual(['there']);
});
