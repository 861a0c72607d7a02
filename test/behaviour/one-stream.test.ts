/** Which stream a message goes to: one, and the right one. Request ids are no key to it. */
import { describe, expect, test } from 'vitest';
import { currentRequest } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';
import { failure, seen } from '../kit/refusals.ts';

const inFlight = (id: number | string): unknown =>
  failure(
    id,
    -32600,
    `Invalid Request: the request id ${JSON.stringify(id)} is still in flight on this session`,
  );

/** The messages of a stream, in a word each. */
const words = (response: RawResponse): unknown[] =>
  response.messages.map(({ method, params, id }) =>
    method === undefined
      ? `answer ${id}`
      : `${method.replace(/^.*\//, '')} ${params?.['data'] ?? ''}`.trim(),
  );

/** Tools that wait in the middle, and say when they are there. */
function steps() {
  const waiting = new Map<string, () => void>();
  const left = new Set<string>();
  const talk: Tool = async ({ name }, ctx) => {
    const { signal } = currentRequest() ?? {};
    signal?.addEventListener('abort', () => left.add(String(name)));
    await ctx.mcpReq.log('error', `${name} begins`);
    await new Promise<void>((go) => waiting.set(String(name), go));
    await ctx.mcpReq.log('error', `${name} ends`);
    return said(name);
  };
  return {
    talk,
    waits: (name: string) => until(() => waiting.has(name)),
    /** The connection of that call is known to be gone. */
    left: (name: string) => until(() => left.has(name)),
    go: (name: string) => waiting.get(name)?.(),
  };
}

const resumeFrom = (client: RawClient, response: RawResponse): Promise<RawResponse> =>
  client.get({ lastEventId: response.lastId });

describe.each(perFace)('over $face', ({ serve, session, inLab }) => {
  test('B209 an id that is still in flight is refused, and the first call is answered', async () => {
    const { one, lab } = await inLab();
    for (const [n, id] of [7, 'seven'].entries()) {
      const first = await one.post(toolCall(id, 'hold'));
      const { answer } = await lab.held(n);
      for (const again of [
        toolCall(id, 'echo', { text: 'x' }),
        { jsonrpc: '2.0', id, method: 'ping' },
      ]) {
        const refused = await one.post(again);
        expect(seen(refused)).toEqual([200, 'request_id_in_flight', inFlight(id)]);
      }
      answer('the first');
      expect(textOf(await first.nextMessage())).toBe('the first');
      // It is answered: the id is free.
      expect(
        textOf(await (await one.post(toolCall(id, 'echo', { text: 'the second' }))).nextMessage()),
      ).toBe('the second');
    }
  });

  test('B209 ids are of their session, and a number is not its text', async () => {
    const lab = createLab();
    const { openSession } = await serve(lab.factory);
    const [one, two] = [await openSession(), await openSession()];
    const streams = [
      await one.post(toolCall(1, 'hold')),
      await one.post(toolCall('1', 'hold')),
      await two.post(toolCall(1, 'hold')),
    ];
    await lab.held(2);
    for (const [n, { answer }] of [...lab.holds.entries()].reverse()) answer(`answer ${n}`);
    const answers = await Promise.all(streams.map((stream) => stream.nextMessage()));
    expect(answers.map((answer) => [(answer as { id: unknown }).id, textOf(answer)])).toEqual([
      [1, 'answer 0'],
      ['1', 'answer 1'],
      [1, 'answer 2'],
    ]);
  });

  test('B209 where there are no sessions, equal ids do not meet', async () => {
    const lab = createLab();
    const { client } = await serve(lab.factory, { sessionMode: 'stateless' });
    const streams = [
      await client().post(toolCall(1, 'hold')),
      await client().post(toolCall(1, 'hold')),
    ];
    await lab.held(1);
    for (const { answer } of lab.holds) answer('both');
    for (const stream of streams) expect(textOf(await stream.nextMessage())).toBe('both');
  });

  test('B210 what two calls send goes each on its own stream, and nothing of it on the GET stream', async () => {
    const { talk, waits, go } = steps();
    const { one } = await session(toolServer({ talk }));
    const get = await one.get();
    const [a, b] = [
      await one.post(toolCall('a', 'talk', { name: 'a' })),
      await one.post(toolCall('b', 'talk', { name: 'b' })),
    ];
    await Promise.all([waits('a'), waits('b')]);
    go('b');
    await b.untilEnd();
    go('a');
    await a.untilEnd();
    expect(words(a)).toEqual(['message a begins', 'message a ends', 'answer a']);
    expect(words(b)).toEqual(['message b begins', 'message b ends', 'answer b']);
    await one.delete();
    await get.untilEnd();
    expect(words(get)).toEqual([]);
  });

  test('B210 without a log, what a call sends when its client has left takes the GET stream, and its answer none', async () => {
    const { talk, waits, left, go } = steps();
    const { one } = await session(toolServer({ talk }), { eventRetention: false });
    const get = await one.get();
    const gone = await one.post(toolCall('a', 'talk', { name: 'a' }));
    await gone.nextMessage();
    await waits('a');
    gone.abort();
    await left('a');
    go('a');
    await get.nextMessage();
    await one.delete();
    await get.untilEnd();
    expect(words(get)).toEqual(['message a ends']);
  });

  test('B211 notifications/cancelled is a cancel: the handler is aborted, and the stream ends without an answer', async () => {
    const { one, lab } = await inLab();
    const first = await one.post(toolCall('a', 'hold'));
    const { ctx, answer } = await lab.held();
    expect(
      (await one.notify('notifications/cancelled', { requestId: 'a', reason: 'enough' })).status,
    ).toBe(202);
    await first.untilEnd();
    expect([first.ending, words(first), ctx.mcpReq.signal.aborted]).toEqual(['complete', [], true]);
    answer('too late');
    await one.get();
    // Nothing more will come, which an empty stream would not say.
    expect((await resumeFrom(one, first)).status).toBe(204);
    expect(
      textOf(await (await one.post(toolCall('a', 'echo', { text: 'free' }))).nextMessage()),
    ).toBe('free');
  });

  test.each(['auto', 'sse', 'json'] as const)(
    'B28 B211 in the modern era leaving is a cancel, and nothing more is sent (%s)',
    async (responseMode) => {
      const lab = createLab();
      const { client, log } = await serve(lab.factory, { responseMode });
      const leaving = new AbortController();
      const one = client();
      const left = postModern(one, 'tools/call', { name: 'hold' }, { signal: leaving.signal });
      left.catch(() => {});
      const { ctx, answer } = await lab.held();
      expect(ctx.mcpReq.signal.aborted).toBe(false);
      leaving.abort();
      await until(() => ctx.mcpReq.signal.aborted);
      await ctx.mcpReq.log('error', 'is a client there?');
      answer('too late');
      const { message } = await callModern(client(), 'tools/call', {
        name: 'echo',
        arguments: { text: 'next' },
      });
      expect(textOf(message)).toBe('next');
      expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    },
  );

  test('B110 B131 B214 event ids are unique across the streams of a session, and a replay stays on its stream', async () => {
    const { talk, waits, go } = steps();
    const lab = toolServer({ talk });
    const made: Array<ReturnType<typeof lab>> = [];
    const { one } = await session((ctx) => {
      const server = lab(ctx);
      made.push(server);
      return server;
    });
    const get = await one.get();
    await get.next();
    const streams = [];
    for (const name of ['a', 'b', 'c']) {
      streams.push(await one.post(toolCall(name, 'talk', { name })));
      await waits(name);
      made[0]?.sendToolListChanged();
      go(name);
    }
    for (const stream of streams) await stream.untilEnd();
    await until(() => words(get).length === 3);
    const ids = [...streams, get].flatMap(({ events }) =>
      events.flatMap(({ id }) => (id === undefined ? [] : [id])),
    );
    expect(ids).toHaveLength(3 * 4 + 4);
    expect(new Set(ids).size).toBe(ids.length);
    get.abort();
    for (const [n, name] of ['a', 'b', 'c'].entries()) {
      const replayed = await one.get({ lastEventId: streams[n]?.events[0]?.id });
      await replayed.untilEnd();
      expect(words(replayed)).toEqual([
        `message ${name} begins`,
        `message ${name} ends`,
        `answer ${name}`,
      ]);
    }
    const rest = await one.get({ lastEventId: get.events[1]?.id });
    await until(() => words(rest).length === 2);
    expect(words(rest)).toEqual(['list_changed', 'list_changed']);
  });
});
