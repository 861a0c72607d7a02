/** What a stream carries beside messages: the priming event, `retry` before an early close, keep-alive comments. */
import { describe, expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawEvent } from '../kit/sse-parser.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { postModern } from '../kit/modern.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { perFace } from '../kit/sessions.ts';
import { connectSse } from '../kit/legacy-sse.ts';

/** An id, the time to wait, and data that is no message. */
const priming = (retry: number): unknown => ({
  id: expect.stringMatching(/^[0-9A-Za-z._-]{1,150}$/),
  retry,
  data: '',
});

const comments = ({ events }: RawResponse): number =>
  events.filter(({ comment }) => comment !== undefined).length;

const after = (client: RawClient, event: RawEvent): Promise<RawResponse> =>
  client.get({ lastEventId: event.id });

describe.each(perFace)('over $face', ({ serve, inLab }) => {
  test('B111 B212 every 2025-11-25 stream is primed at once: of a POST, of initialize, of a GET, and a resumed one', async () => {
    const lab = createLab();
    const { client } = await serve(lab.factory, { retryMs: 1_234 });
    const one = client();
    const { response } = await one.initialize();
    expect(response.events[0]).toEqual(priming(1_234));
    const post = await one.post(toolCall('c', 'hold'));
    const first = await post.next();
    expect(first).toEqual(priming(1_234));
    const get = await one.get();
    expect(await get.next()).toEqual(priming(1_234));
    post.abort();
    const resumed = await after(one, first);
    expect(await resumed.next()).toEqual(priming(1_234));
    (await lab.held()).answer('done');
    expect(textOf(await resumed.nextMessage())).toBe('done');
  });

  test('B122 B212 a POST stream that the handler closes early says when to come back; the answer is there then', async () => {
    const store = watchedStore();
    const { one, lab } = await inLab({ retryMs: 1_234, store });
    const post = await one.post(toolCall('c', 'hold'));
    const { ctx, answer } = await lab.held();
    const storing = gate();
    store.before['sessions.append'] = storing.hook;
    await ctx.mcpReq.log('error', 'before');
    ctx.http?.closeSSE?.();
    storing.open();
    await post.untilEnd();
    expect(post.ending).toBe('complete');
    const seen = post.events.map(({ message, retry }) =>
      message === undefined ? retry : 'message',
    );
    expect(seen).toEqual([1_234, 'message', 100]);
    expect(ctx.mcpReq.signal.aborted).toBe(false);
    await ctx.mcpReq.log('error', 'while no client reads');
    const resumed = await after(one, post.events[2] ?? {});
    answer('after all');
    await resumed.untilEnd();
    const messages = resumed.messages;
    expect(messages).toMatchObject([{ params: { data: 'while no client reads' } }, { id: 'c' }]);
  });

  test('B212 so can the GET stream, for a client that polls', async () => {
    const { one, lab } = await inLab({ retryMs: 1_234 });
    const get = await one.get();
    await get.next();
    const running = one.call(...tool('hold'));
    const { ctx, answer } = await lab.held();
    ctx.http?.closeStandaloneSSE?.();
    await get.untilEnd();
    expect([get.ending, get.events]).toEqual(['complete', [priming(1_234), priming(100)]]);
    lab.made[0]?.server.sendToolListChanged();
    answer('done');
    await running;
    const again = await after(one, get.events[1] ?? {});
    expect(await again.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
    lab.made[0]?.server.sendToolListChanged();
    expect(await again.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
  });

  test('B213 quiet streams carry a comment every interval, and busy ones go on as they are', async () => {
    const timeProvider = createFakeTime();
    const { one, client, lab } = await inLab({ timeProvider, keepAliveMs: 15_000 });
    const get = await one.get();
    const post = await one.post(toolCall('c', 'hold'));
    const modernCall = postModern(client(), 'tools/call', { name: 'hold' });
    await lab.held(1);
    await post.next();
    await get.next();
    // The head of a modern answer waits for one interval.
    await timeProvider.advance(15_000);
    const modern = await modernCall;
    for (let round = 1; round <= 2; round++) {
      await timeProvider.advance(15_000);
      await until(
        () => comments(modern) >= round && [get, post].every((stream) => comments(stream) > round),
      );
      expect([get, post, modern].map(comments)).toEqual([round + 1, round + 1, round]);
    }
    for (const { answer } of lab.holds) answer('still there');
    expect(textOf(await post.nextMessage())).toBe('still there');
    expect(textOf(await modern.nextMessage())).toBe('still there');
    expect(get.events.filter(({ comment }) => comment !== undefined)).toEqual(
      [1, 2, 3].map(() => ({ comment: 'keepalive' })),
    );
  });

  test('B213 resumed streams and the 2024-11-05 transport carry them too', async () => {
    const timeProvider = createFakeTime();
    const { one, client } = await inLab({ timeProvider, keepAliveMs: 15_000, legacySse: true });
    const get = await one.get();
    const first = await get.next();
    get.abort();
    const resumed = await after(one, first);
    const { stream: sse } = await connectSse(client(), '/mcp/sse');
    await resumed.next();
    await timeProvider.advance(15_000);
    await until(() => comments(resumed) === 1 && comments(sse) === 1);
  });

  test('B213 a subscription carries them', async () => {
    const { client } = await serve(createLab().factory, { keepAliveMs: 20 });
    const stream = await postModern(client(), 'subscriptions/listen', {
      notifications: { toolsListChanged: true },
    });
    await until(() => comments(stream) >= 2);
    expect((await stream.nextMessage()) as object).toMatchObject({
      method: 'notifications/subscriptions/acknowledged',
    });
  });

  test.each([0, Infinity])('B213 keepAliveMs: %s sends none', async (keepAliveMs) => {
    const timeProvider = createFakeTime();
    const { one, lab } = await inLab({ timeProvider, keepAliveMs });
    const post = await one.post(toolCall('c', 'hold'));
    const { answer } = await lab.held();
    await timeProvider.advance(3_600_000);
    answer('quiet');
    expect(textOf(await post.nextMessage())).toBe('quiet');
    expect(comments(post)).toBe(0);
  });
});
