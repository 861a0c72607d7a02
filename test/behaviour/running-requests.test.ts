/** How much may run on a session at once, and what never counts. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { storeUnavailable } from '../../src/base/errors.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { heldTool, said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { failure, seen } from '../kit/refusals.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

const tooMany = (id: number | string | null, limit: number): unknown =>
  failure(
    id,
    -32000,
    `Too Many Requests: ${limit} requests are running on this session (limits.requestsPerSession)`,
    {
      reason: 'too_many_requests',
    },
  );

/** A refusal on a session: an answer with its reason in a header. */
async function refusal(client: RawClient, body: unknown): Promise<unknown> {
  const response = await client.post(body);
  return seen(response);
}

/** Whether the answer of a request has begun. */
function watched(response: Promise<RawResponse>): {
  readonly response: Promise<RawResponse>;
  begun: boolean;
} {
  const watch = { response, begun: false };
  void response.then(
    () => (watch.begun = true),
    () => {},
  );
  return watch;
}

const limited = (requestsPerSession: number, maxWaitMs = 15_000): McpEndpointOptions => ({
  limits: { requestsPerSession },
  maxWaitMs,
});

describe.each(perFace)('over $face', ({ serve, session, inLab }) => {
  test('B198 requests past the limit wait, and run in order as others end', async () => {
    const { tool: hold, calls, release } = heldTool();
    const order: unknown[] = [];
    const note = ({ n }: Record<string, unknown>) => said(order.push(n));
    const { one } = await session(toolServer({ hold, note }), limited(2));
    const running = [one.post(toolCall('a', 'hold')), one.post(toolCall('b', 'hold'))];
    await until(() => calls.length === 2);
    const queued: Array<ReturnType<typeof watched>> = [];
    for (let n = 0; n < 5; n++) {
      queued.push(watched(one.post(toolCall(`c${n}`, 'note', { n }))));
      // The server has it before the next one is sent.
      expect((await one.call('ping')).response.status).toBe(200);
    }
    expect([calls.length, order, queued.filter(({ begun }) => begun)]).toEqual([2, [], []]);
    release();
    for (const [n, { response }] of queued.entries())
      expect(await (await response).nextMessage()).toMatchObject({ id: `c${n}`, result: {} });
    expect(order).toEqual([0, 1, 2, 3, 4]);
    for (const answer of await Promise.all(running))
      expect(textOf(await answer.nextMessage())).toBe('released');
    expect(calls).toHaveLength(2);
  });

  test('B198 with maxWaitMs 0 a request past the limit is refused in a 200 with its id, and runs not at all', async () => {
    const { tool: hold, calls, release } = heldTool();
    const { one } = await session(toolServer({ hold }), limited(2, 0));
    const running = [one.post(toolCall('a', 'hold')), one.post(toolCall('b', 'hold'))];
    await until(() => calls.length === 2);
    expect(await refusal(one, toolCall('c', 'hold'))).toEqual([
      200,
      'too_many_requests',
      tooMany('c', 2),
    ]);
    const listing = { jsonrpc: '2.0', id: 7, method: 'tools/list' };
    expect(await refusal(one, listing)).toEqual([200, 'too_many_requests', tooMany(7, 2)]);
    release();
    for (const answer of await Promise.all(running)) await answer.untilEnd();
    expect((await one.call('tools/list')).response.status).toBe(200);
    expect(calls).toHaveLength(2);
    // The id of a refused request is free.
    expect(textOf(await (await one.post(toolCall('c', 'hold'))).nextMessage())).toBe('released');
  });

  test('B198 a request that waited for maxWaitMs is refused with its id, and a later request still runs', async () => {
    const { tool: hold, calls, release } = heldTool();
    const time = createFakeTime();
    const options = { ...limited(1), timeProvider: time, keepAliveMs: Infinity };
    const { one } = await session(toolServer({ hold, echo: () => said('ran') }), options);
    const running = one.post(toolCall('a', 'hold'));
    await until(() => calls.length === 1);
    const first = watched(one.post(toolCall('b', 'hold')));
    expect((await one.call('ping')).response.status).toBe(200);
    await time.advance(10_000);
    const second = watched(one.post(toolCall('c', 'echo')));
    expect((await one.call('ping')).response.status).toBe(200);
    await time.advance(6_000);
    const refused = await first.response;
    expect(seen(refused)).toEqual([200, 'too_many_requests', tooMany('b', 1)]);
    expect(second.begun).toBe(false);
    release();
    await (await running).untilEnd();
    expect(textOf(await (await second.response).nextMessage())).toBe('ran');
    expect(calls).toHaveLength(1);
  });

  test('B198 a waiting request that is cancelled, or whose client leaves, never runs', async () => {
    const { tool: hold, calls, release } = heldTool();
    let echoes = 0;
    const { one, client } = await session(
      toolServer({ hold, echo: () => said(++echoes) }),
      limited(1),
    );
    const running = one.post(toolCall('a', 'hold'));
    await until(() => calls.length === 1);
    const cancelled = one.post(toolCall('b', 'echo'));
    const leaver = client({ of: one });
    const left = leaver.post(toolCall('c', 'echo')).catch(() => 'left');
    const last = watched(one.post(toolCall('d', 'echo')));
    expect((await one.call('ping')).response.status).toBe(200);
    const gone = await one.notify('notifications/cancelled', { requestId: 'b' });
    expect(gone.status).toBe(202);
    const ended = await cancelled;
    expect([ended.status, await ended.untilEnd()]).toEqual([200, []]);
    leaver.close();
    expect(await left).toBe('left');
    expect((await one.call('ping')).response.status).toBe(200);
    release();
    await (await running).untilEnd();
    expect(textOf(await (await last.response).nextMessage())).toBe('1');
    expect(echoes).toBe(1);
  });

  test('B198 64 run by default, and each session has its own count', async () => {
    const { tool: hold, calls, release } = heldTool();
    const { openSession } = await serve(toolServer({ hold }), { maxWaitMs: 0 });
    const [one, two] = [await openSession(), await openSession()];
    for (let n = 0; n < 64; n++) void one.post(toolCall(n, 'hold')).catch(() => {});
    await until(() => calls.length === 64);
    expect(await refusal(one, toolCall(64, 'hold'))).toEqual([
      200,
      'too_many_requests',
      tooMany(64, 64),
    ]);
    expect((await two.call('tools/list')).message).toMatchObject({ result: {} });
    expect(calls).toHaveLength(64);
    release();
  });

  test('B198 notifications, pings, GET and DELETE pass a session that is full, and what waits there', async () => {
    const { one, lab } = await inLab(limited(1));
    const running = one.call(...tool('hold'));
    await lab.held();
    const queued = watched(one.post({ jsonrpc: '2.0', id: 'waits', method: 'tools/list' }));
    expect((await one.notify('notifications/roots/list_changed')).status).toBe(202);
    const { response, message } = await one.call('ping');
    expect([response.status, message.result]).toEqual([200, {}]);
    const get = await one.get();
    expect(get.status).toBe(200);
    expect(queued.begun).toBe(false);
    expect((await one.delete()).status).toBe(200);
    expect((await running).message.error).toMatchObject({ data: { reason: 'session_ended' } });
    const ended = await queued.response;
    expect([ended.status, ended.json()]).toMatchObject([404, { error: { code: -32001 } }]);
  });

  test('B198 as many handlers of notifications run on a session as requests, and a cancellation never waits', async () => {
    let running = 0;
    const { hook, open } = gate();
    const factory = toolServer({}, ({ server }) => {
      server.fallbackNotificationHandler = async () => {
        running += 1;
        await hook();
        running -= 1;
      };
    });
    const { one } = await session(factory, limited(2, 0));
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await one.notify('vendor/note')).status),
    );
    expect([running, statuses.toSorted()]).toEqual([
      2,
      [202, 202, ...Array.from({ length: 18 }, () => 429)],
    ]);
    expect((await one.notify('notifications/cancelled', { requestId: 7 })).status).toBe(202);
    open();
    await until(() => running === 0);
    expect((await one.notify('vendor/note')).status).toBe(202);
  });

  test('B198 the answer to a question of the running call passes too', async () => {
    const { one } = await inLab(limited(1), { capabilities: { elicitation: {} } });
    const stream = await one.post(toolCall('asks', 'ask'));
    const { id } = await stream.nextMessage();
    const queued = watched(one.post({ jsonrpc: '2.0', id: 'waits', method: 'tools/list' }));
    expect((await one.call('ping')).response.status).toBe(200);
    expect(queued.begun).toBe(false);
    const answer = { jsonrpc: '2.0', id, result: { action: 'accept', content: { colour: 'red' } } };
    expect((await one.post(answer)).status).toBe(202);
    expect(textOf(await stream.nextMessage())).toBe('accept {"colour":"red"}');
    expect(await (await queued.response).nextMessage()).toMatchObject({ id: 'waits', result: {} });
  });

  test('B198 so does an answer that waited for the lease behind a request, which then runs', async () => {
    const store = watchedStore({ durable: true });
    const options = { ...limited(1, 10_000), store, leaseMs: 300, metrics: true };
    const { one, endpoint } = await inLab(options, { capabilities: { elicitation: {} } });
    const stream = await one.post(toolCall('asks', 'ask'));
    const { id } = await stream.nextMessage();
    store.before['instances.renew'] = store.before['instances.announce'] = () => {
      throw storeUnavailable('away');
    };
    await until(() => endpoint.health().state === 'lapsed');
    const queued = one.post({ jsonrpc: '2.0', id: 'waits', method: 'tools/list' });
    await until(() => endpoint.metrics().includes('sojourn_waiting_requests 1'));
    const answered = one.post({
      jsonrpc: '2.0',
      id,
      result: { action: 'accept', content: { colour: 'red' } },
    });
    await until(() => endpoint.metrics().includes('sojourn_waiting_requests 2'));
    delete store.before['instances.renew'];
    delete store.before['instances.announce'];
    expect((await answered).status).toBe(202);
    expect(textOf(await stream.nextMessage())).toBe('accept {"colour":"red"}');
    expect(await (await queued).nextMessage()).toMatchObject({ id: 'waits', result: {} });
  });

  test('B198 every request of a batch counts, and a batch that does not fit runs not at all', async () => {
    let echoes = 0;
    const echo = () => said(++echoes);
    const { one } = await session(toolServer({ echo }), limited(2), {
      protocolVersion: '2025-03-26',
    });
    const three = [toolCall(1, 'echo'), toolCall(2, 'echo'), toolCall(3, 'echo')];
    // It would wait for ever: refused at once, and no later request waits behind it.
    const refused = await one.post(three);
    expect([refused.status, refused.json()]).toEqual([
      400,
      failure(
        null,
        -32600,
        'Invalid Request: a batch of 3 requests; 2 may run at once (limits.requestsPerSession)',
      ),
    ]);
    expect(echoes).toBe(0);
    const fits = await one.post([...three.slice(1), { jsonrpc: '2.0', id: 4, method: 'ping' }]);
    expect((await fits.untilEnd()).map(({ message }) => message?.id).sort()).toEqual([2, 3, 4]);
    expect(echoes).toBe(2);
  });

  test('B199 on the 2024-11-05 transport it does not: it is accepted while the handler runs', async () => {
    const lab = createLab();
    const { client } = await serve(lab.factory, { legacySse: true });
    const { stream, post } = await openSse(client());
    const accepted = await post(toolCall('long', 'hold'));
    expect([accepted.status, accepted.body, await accepted.ended]).toEqual([
      202,
      'Accepted',
      'complete',
    ]);
    const { answer } = await lab.held();
    answer('at last');
    expect(textOf(await stream.nextMessage())).toBe('at last');
  });
});
