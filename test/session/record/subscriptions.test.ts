/** How the subscriptions of a session reach its record: one change each. */
import { expect, test } from 'vitest';
import { memoryRows } from '../../../src/http/limits/memory-rows.ts';
import { decodeSession } from '../../../src/session/record/session-record.ts';
import { Subscriptions } from '../../../src/session/record/subscriptions.ts';
import { isEnded, type RecordChange } from '../../../src/stores/store.ts';
import { createLab } from '../../kit/lab.ts';
import { serve } from '../../kit/serve.ts';
import { watchedStore } from '../../kit/watched-store.ts';

async function subscriber(protocolVersion?: string) {
  const store = watchedStore();
  const client = await (
    await serve(createLab().factory, { store })
  ).openSession({ protocolVersion });
  const change = (subscribed: boolean, uri: string) =>
    client.call(subscribed ? 'resources/subscribe' : 'resources/unsubscribe', { uri });
  const stored = async (): Promise<readonly string[]> => {
    const record = await store.views[0]?.sessions.read(client.sessionId ?? '');
    return record === undefined || isEnded(record) ? [] : decodeSession(record).subscriptions;
  };
  const saved = () =>
    store.calls.flatMap(({ call, args }) =>
      call === 'sessions.save' ? [args[2] as RecordChange] : [],
    );
  return { client, change, stored, saved };
}

test('each save has its own change, and what changes nothing is not saved', async () => {
  const { change, stored, saved } = await subscriber();
  const changes = (): unknown[] => saved().flatMap(({ fields }) => Object.entries(fields ?? {}));
  await change(true, 'note://b');
  await change(true, 'note://a');
  await change(true, 'note://b');
  await change(false, 'note://never');
  await change(false, 'note://b');
  expect(changes()).toEqual([
    ['u"note://b"', '1'],
    ['u"note://a"', '1'],
    ['u"note://b"', null],
  ]);
  expect(await stored()).toEqual(['note://a']);
});

test('those of one batch pass the bound together', async () => {
  const { client, stored } = await subscriber('2025-03-26');
  const batch = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map((id) => {
    const params = { uri: id.repeat(8_000) };
    return { jsonrpc: '2.0', id, method: 'resources/subscribe', params };
  });
  expect((await client.post(batch)).body).toContain('65536 bytes');
  await (await client.post(batch.slice(1))).untilEnd();
  expect(await stored()).toHaveLength(8);
});

test('the bytes that are charged follow the changes of the list, until the session leaves', () => {
  const memory = memoryRows(Infinity).sessions;
  // 896 bytes for each URI, and twice its characters.
  const uris = new Subscriptions(memory, 'user a');
  expect([uris.add('a'), uris.add('größe'), memory.used]).toEqual([true, true, 1_804]);
  expect([uris.add('a'), uris.add('bc'), memory.used]).toEqual([false, true, 2_704]);
  expect([uris.delete('größe'), uris.delete('größe'), memory.used]).toEqual([true, false, 1_798]);
  expect(uris.list()).toEqual(['a', 'bc']);
  for (let n = 0; n < 7; n++) uris.add(`${n}${'x'.repeat(8_191)}`);
  expect(uris.refusal(new Set(['a']))).toBeUndefined();
  const { used } = memory;
  expect(uris.refusal(new Set(['y'.repeat(8_192)]))?.message).toContain('65536 bytes');
  expect(memory.used).toBe(used);
  uris.release();
  expect(memory.used).toBe(0);
});

test('a full memory refuses the request that names a URI', async () => {
  const { endpoint, openSession } = await serve(createLab().factory, {
    limits: { memoryBytes: 65_536, userShare: 1 },
    metrics: true,
  });
  const client = await openSession();
  let reason: unknown;
  for (let n = 0; n < 200 && reason === undefined; n++)
    reason = (await client.call('resources/subscribe', { uri: `note://${n}` })).message.error?.data;
  expect(reason).toMatchObject({ reason: 'over_memory' });
  const held = /memory_bytes\{row="sessions"\} (\d+)/.exec(endpoint.metrics())?.[1];
  // A small request may use the reserve of a quarter.
  expect(Number(held)).toBeLessThan(1.25 * 65_536);
});
