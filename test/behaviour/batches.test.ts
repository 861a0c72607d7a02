/** JSON-RPC batches: part of 2025-03-26 alone. */
import { describe, expect, test } from 'vitest';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import { mirrored, postModern } from '../kit/modern.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';
import { failure } from '../kit/refusals.ts';

const ping = (id: number | string) => ({ jsonrpc: '2.0', id, method: 'ping' });
const changed = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };

const idsOf = ({ messages }: RawResponse): unknown[] => messages.map(({ id }) => id);

const refused = (message: string): unknown => failure(null, -32600, `Invalid Request: ${message}`);

describe.each(perFace)('over $face', ({ serve, session, inLab }) => {
  test('B205 a batch may mix requests, notifications and answers; its stream ends after the last answer', async () => {
    const { one, lab } = await inLab(
      {},
      { protocolVersion: '2025-03-26', capabilities: { elicitation: {} } },
    );
    const asking = await one.post(toolCall('asks', 'ask'));
    const question = await asking.nextMessage();

    const mixed = await one.post([
      toolCall('held', 'hold'),
      changed,
      { jsonrpc: '2.0', id: question.id, result: { action: 'decline' } },
      toolCall('echo', 'echo', { text: 'in a batch' }),
      ping('ping'),
    ]);
    expect(mixed.status).toBe(200);
    expect(textOf(await asking.nextMessage())).toBe('decline undefined');
    await until(() => idsOf(mixed).length === 2);
    expect(idsOf(mixed).sort()).toEqual(['echo', 'ping']);
    const echo = mixed.events.find(({ message }) => message?.id === 'echo');
    expect(textOf(echo?.message)).toBe('in a batch');
    const { answer } = await lab.held();
    expect(mixed.ending).toBeUndefined();
    answer('and this');
    await mixed.untilEnd();
    expect(mixed.ending).toBe('complete');
    expect(idsOf(mixed).sort()).toEqual(['echo', 'held', 'ping']);
    expect(idsOf(mixed).at(-1)).toBe('held');
  });

  test('B205 only notifications and answers: 202', async () => {
    const { one } = await inLab({}, { protocolVersion: '2025-03-26' });
    const response = await one.post([changed, { jsonrpc: '2.0', id: 's1.0', result: {} }, changed]);
    expect([response.status, response.body, response.header('content-type')]).toEqual([
      202,
      '',
      undefined,
    ]);
  });

  test('B205 in JSON mode the answers come as one array, of one too', async () => {
    const { one } = await session(
      toolServer({ echo: ({ n }) => said(n) }),
      { responseMode: 'json' },
      { protocolVersion: '2025-03-26' },
    );
    const both = await one.post([
      toolCall(1, 'echo', { n: 1 }),
      changed,
      toolCall(2, 'echo', { n: 2 }),
    ]);
    expect(both.header('content-type')).toBe('application/json');
    const answers = both.json() as Array<{ id: number }>;
    expect(answers.map((answer) => [answer.id, textOf(answer)])).toEqual([
      [1, '1'],
      [2, '2'],
    ]);
    expect((await one.post([ping(3)])).json()).toEqual([{ jsonrpc: '2.0', id: 3, result: {} }]);
  });

  test('B205 initialize is never in a batch', async () => {
    const { client, endpoint } = await serve(createLab().factory);
    const one = client();
    const params = {
      protocolVersion: '2025-03-26',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params };
    for (const batch of [[initialize], [ping(2), initialize]]) {
      const response = await one.post(batch);
      expect([response.status, response.json()]).toEqual([
        400,
        refused('initialize cannot be in a batch'),
      ]);
    }
    expect(endpoint.sessions.liveCount).toBe(0);
    await one.initialize({ protocolVersion: '2025-03-26' });
    expect((await one.post([initialize])).status).toBe(400);
  });

  test.each(['2024-11-05', '2025-06-18', '2025-11-25'])(
    'B11 B205 on a session of %s a batch is refused',
    async (protocolVersion) => {
      const { one } = await inLab({}, { protocolVersion });
      for (const batch of [[ping(1)], [changed]]) {
        const response = await one.post(batch);
        const why = `batches are not part of protocol revision ${protocolVersion}`;
        expect([response.status, response.json()]).toEqual([400, refused(why)]);
      }
    },
  );

  test.each(['hybrid', 'stateful', 'stateless'] as const)(
    'B11 B205 without a session a batch is refused, in %s mode',
    async (sessionMode) => {
      const { client } = await serve(createLab().factory, { sessionMode });
      const why = 'a batch belongs to a session negotiated at 2025-03-26';
      for (const headers of [{}, { 'mcp-protocol-version': '2025-03-26' }]) {
        const response = await client().post([ping(1)], { headers });
        expect([response.status, response.json()]).toEqual([400, refused(why)]);
      }
    },
  );

  test('B205 in the modern era a batch is refused, by its header or by what is in it', async () => {
    const { client } = await serve(createLab().factory);
    const one = client();
    const why = 'batches are not part of protocol revision 2026-07-28';
    const byHeader = await one.post([ping(1)], { headers: mirrored('ping') });
    expect([byHeader.status, byHeader.json()]).toEqual([400, refused(why)]);
    const inside = {
      ...ping(1),
      params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } },
    };
    const byContent = await one.post([inside]);
    expect([byContent.status, byContent.json()]).toEqual([400, refused(why)]);
    expect((await postModern(one, 'tools/list')).status).toBe(200);
  });

  test('B11 B205 a batch has at most 50 messages, and at least one', async () => {
    const { one } = await inLab({}, { protocolVersion: '2025-03-26' });
    const fits = await one.post([ping(1), changed, ping(2)]);
    await fits.untilEnd();
    expect(idsOf(fits).sort()).toEqual([1, 2]);
    const batch = Array.from({ length: 51 }, (_, n) => ping(n));
    expect((await one.post(batch.slice(1))).status).toBe(200);
    const over = await one.post(batch);
    const why = 'a batch of 51 messages; 50 are allowed';
    expect([over.status, over.json()]).toEqual([400, refused(why)]);
    const empty = await one.post([]);
    expect([empty.status, empty.json()]).toEqual([400, refused('an empty batch')]);
  });

  test('B205 one message that is none refuses the whole batch, and nothing of it runs', async () => {
    let calls = 0;
    const { one } = await session(
      toolServer({ count: () => said(++calls) }),
      {},
      { protocolVersion: '2025-03-26' },
    );
    for (const wrong of [
      null,
      7,
      [],
      [ping(9)],
      { jsonrpc: '2.0', id: 5 },
      { ...ping(5), more: 1 },
    ]) {
      const response = await one.post([toolCall(1, 'count'), wrong]);
      expect([response.status, (response.json() as { id: unknown }).id]).toEqual([400, null]);
    }
    expect(calls).toBe(0);
  });

  test('B225 an id that a batch has twice is refused, and nothing of it runs', async () => {
    let calls = 0;
    const { one } = await session(
      toolServer({ count: () => said(++calls) }),
      {},
      { protocolVersion: '2025-03-26' },
    );
    const twice = await one.post([toolCall('a', 'count'), ping('b'), toolCall('a', 'count')]);
    expect([twice.status, twice.json()]).toEqual([
      400,
      refused('the id "a" is in the batch twice'),
    ]);
    expect(calls).toBe(0);
    // A number and its text are two ids.
    const alike = await one.post([ping(1), ping('1')]);
    await alike.untilEnd();
    expect(
      idsOf(alike)
        .map((id) => typeof id)
        .sort(),
    ).toEqual(['number', 'string']);
  });

  test('B225 an id of a batch that is in flight is refused as well', async () => {
    const { one, lab } = await inLab({}, { protocolVersion: '2025-03-26' });
    const running = await one.post([toolCall('a', 'hold'), ping('b')]);
    const { answer } = await lab.held();
    const again = await one.post([ping('c'), ping('a')]);
    expect([again.status, again.json()]).toEqual([
      400,
      refused('the request id "a" is still in flight on this session'),
    ]);
    answer('done');
    await running.untilEnd();
    expect((await one.post([ping('a')])).status).toBe(200);
  });
});
