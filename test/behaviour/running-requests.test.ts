/** How much may run on a session at once, and what never counts. */
import { describe, expect, test } from 'vitest';
import type { RawClient } from '../../src/testing/index.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { faces, serve } from '../kit/serve.ts';
import { heldTool, said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

const call = (id: number | string, name: string, args = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

const tooMany = (id: number | string | null, limit: number): unknown => ({
  jsonrpc: '2.0',
  id,
  error: {
    code: -32000,
    message: `Too Many Requests: ${limit} requests are running on this session (limits.requestsPerSession)`,
    data: { reason: 'too_many_requests' },
  },
});

async function refusal(client: RawClient, body: unknown): Promise<unknown> {
  const response = await client.post(body);
  return [response.status, response.header('retry-after'), response.json()];
}

describe.each(faces)('over %s', (face) => {
  test('B198 a request past the limit gets 429 and is not queued; one that ends makes room', async () => {
    const { tool: hold, calls, release } = heldTool();
    const { client } = await serve(toolServer({ hold }), { limits: { requestsPerSession: 2 } }, { face });
    const one = client();
    await one.initialize();
    const running = [one.post(call('a', 'hold')), one.post(call('b', 'hold'))];
    await until(() => calls.length === 2);
    expect(await refusal(one, call('c', 'hold'))).toEqual([429, '1', tooMany('c', 2)]);
    expect(await refusal(one, { jsonrpc: '2.0', id: 7, method: 'tools/list' })).toEqual([429, '1', tooMany(7, 2)]);
    release();
    for (const answer of await Promise.all(running)) await answer.untilEnd();
    expect((await one.call('tools/list')).response.status).toBe(200);
    expect(calls).toHaveLength(2);
    // The id of a refused request is free.
    expect(textOf(await (await one.post(call('c', 'hold'))).nextMessage())).toBe('released');
  });

  test('B198 64 run by default, and each session has its own count', async () => {
    const { tool: hold, calls, release } = heldTool();
    const { client } = await serve(toolServer({ hold }), {}, { face });
    const [one, two] = [client(), client()];
    await one.initialize();
    await two.initialize();
    for (let n = 0; n < 64; n++) void one.post(call(n, 'hold')).catch(() => {});
    await until(() => calls.length === 64);
    expect(await refusal(one, call(64, 'hold'))).toEqual([429, '1', tooMany(64, 64)]);
    expect((await two.call('tools/list')).response.status).toBe(200);
    release();
  });

  test('B198 notifications, pings, GET and DELETE pass a session that is full', async () => {
    const lab = createLab();
    const { client } = await serve(lab.factory, { limits: { requestsPerSession: 1 } }, { face });
    const one = client();
    await one.initialize();
    const running = one.call(...tool('hold'));
    await lab.held();
    expect((await one.call('tools/list')).response.status).toBe(429);
    expect((await one.notify('notifications/roots/list_changed')).status).toBe(202);
    const { response, message } = await one.call('ping');
    expect([response.status, message.result]).toEqual([200, {}]);
    const get = await one.get();
    expect(get.status).toBe(200);
    expect((await one.delete()).status).toBe(200);
    expect((await running).message.error).toMatchObject({ data: { reason: 'session_ended' } });
  });

  test('B198 the answer to a question of the running call passes too', async () => {
    const { client } = await serve(createLab().factory, { limits: { requestsPerSession: 1 } }, { face });
    const one = client();
    await one.initialize({ capabilities: { elicitation: {} } });
    const stream = await one.post(call('asks', 'ask'));
    const { id } = (await stream.nextMessage()) as { id: string };
    expect((await one.call('tools/list')).response.status).toBe(429);
    const answer = { jsonrpc: '2.0', id, result: { action: 'accept', content: { colour: 'red' } } };
    expect((await one.post(answer)).status).toBe(202);
    expect(textOf(await stream.nextMessage())).toBe('accept {"colour":"red"}');
  });

  test('B198 pings do not take the place of a call, however many run', async () => {
    const lab = createLab();
    const { client } = await serve(lab.factory, { limits: { requestsPerSession: 1 } }, { face });
    const one = client();
    await one.initialize();
    const pings = Array.from({ length: 20 }, () => one.call('ping'));
    const called = one.call(...tool('echo', { text: 'beside them' }));
    expect(textOf((await called).message)).toBe('beside them');
    for (const { response } of await Promise.all(pings)) expect(response.status).toBe(200);
  });

  test('B198 every request of a batch counts, and a batch that does not fit runs not at all', async () => {
    let echoes = 0;
    const echo = () => said(++echoes);
    const { client } = await serve(toolServer({ echo }), { limits: { requestsPerSession: 2 } }, { face });
    const one = client();
    await one.initialize({ protocolVersion: '2025-03-26' });
    const three = [call(1, 'echo'), call(2, 'echo'), call(3, 'echo')];
    expect(await refusal(one, three)).toEqual([429, '1', tooMany(null, 2)]);
    expect(echoes).toBe(0);
    const fits = await one.post([...three.slice(1), { jsonrpc: '2.0', id: 4, method: 'ping' }]);
    expect((await fits.untilEnd()).map(({ message }) => (message as { id: number }).id).sort()).toEqual([2, 3, 4]);
    expect(echoes).toBe(2);
  });

  test('B199 a POST stays open until its handler answers', async () => {
    const lab = createLab();
    const { client } = await serve(lab.factory, {}, { face });
    const one = client();
    await one.initialize();
    const response = await one.post(call('long', 'hold'));
    const { answer } = await lab.held();
    await one.call('ping');
    expect(response.ending).toBeUndefined();
    answer('at last');
    expect(textOf(await response.nextMessage())).toBe('at last');
    expect(await response.ended).toBe('complete');
  });

  test('B199 on the 2024-11-05 transport it does not: it is accepted while the handler runs', async () => {
    const lab = createLab();
    const { client, url } = await serve(lab.factory, { legacySse: true }, { face });
    const one = client();
    const stream = await one.get({ path: `${new URL(url).pathname}/sse` });
    const path = (await stream.next(({ event }) => event === 'endpoint')).data ?? '';
    const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'old', version: '1' } };
    await one.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params }, { path });
    await stream.nextMessage();
    const accepted = await one.post(call('long', 'hold'), { path });
    expect([accepted.status, accepted.body, await accepted.ended]).toEqual([202, 'Accepted', 'complete']);
    const { answer } = await lab.held();
    answer('at last');
    expect(textOf(await stream.nextMessage())).toBe('at last');
  });
});
