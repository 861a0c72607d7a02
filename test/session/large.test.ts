/**
 * Much at once, and large: what one call sends in one go, as many calls as a session may have, bodies and results of 4
 * MiB.
 */
import { describe, expect, test } from 'vitest';
import { serveFleet, serveMember } from '../kit/fleet.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { postModern } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { said, type Tool, toolServer } from '../kit/tool-server.ts';
import { turns, until } from '../kit/until.ts';
import type { RawResponse } from '../kit/raw-response.ts';

useSharedStores();

const MIB = 1_048_576;
const NOTIFICATIONS = 2_000;
/** A small part of what they come to. */
const limits = { streamBufferBytes: 16_384 };

/** Sends everything in one go, at once or when its head has left. */
const progress =
  (later: boolean): Tool =>
  async (_args, { mcpReq }) => {
    // The time for a head to leave without them.
    if (later) await turns(20);
    const progressToken = mcpReq._meta?.progressToken ?? 'none';
    for (let n = 1; n <= NOTIFICATIONS; n++)
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: n } });
    return said('done');
  };

const upTo = Array.from({ length: NOTIFICATIONS }, (_, n) => n + 1);

function readProgress(response: RawResponse): { numbers: unknown[]; last: string | undefined } {
  const messages = response.events.flatMap(({ message }) => (message === undefined ? [] : [message as object]));
  const last = messages.pop();
  const numbers = messages.map((message) => (message as { params: { progress: number } }).params.progress);
  return { numbers, last: last === undefined ? undefined : textOf(last) };
}

describe.each(faces)('over %s', (face) => {
  const factory = toolServer({
    now: progress(false),
    later: progress(true),
    give: () => said('x'.repeat(4 * MIB)),
    length: ({ text }) => said(String(text).length),
  });

  describe.each(['now', 'later'])('sent %s', (name) => {
    test.each(['2025-06-18', '2025-11-25'])(
      '2,000 progress notifications of one call arrive in order, far more than may wait for its reader (%s)',
      async (protocolVersion) => {
        const client = (await serve(factory, { limits }, { face })).client();
        await client.initialize({ protocolVersion });
        const response = await client.post(toolCall(1, name, {}, { progressToken: 'p' }));
        await response.untilEnd();
        expect(readProgress(response)).toEqual({ numbers: upTo, last: 'done' });
      },
    );

    test('so they do at 2026-07-28', async () => {
      const client = (await serve(factory, { limits }, { face })).client();
      const response = await postModern(client, 'tools/call', { name }, { meta: { progressToken: 'p' } });
      await response.untilEnd();
      expect(readProgress(response)).toEqual({ numbers: upTo, last: 'done' });
    });
  });

  test('a result and a body of 4 MiB pass, beside small calls', async () => {
    const { client } = await serve(factory, { limits: { bodyBytes: 5 * MIB } }, { face });
    const [large, small] = [client(), client()];
    await large.initialize();
    await small.initialize();
    const text = 'y'.repeat(4 * MIB);
    const [given, length, ...pings] = await Promise.all([
      large.call(...tool('give')),
      large.call(...tool('length', { text })),
      small.call('ping'),
      small.call('ping'),
    ]);
    expect(textOf(given.message)?.length).toBe(4 * MIB);
    expect(textOf(length.message)).toBe(String(4 * MIB));
    expect(pings.map(({ response }) => response.status)).toEqual([200, 200]);
  });
});

test('what a session of another instance sends in one go arrives whole there', async () => {
  const [a, b] = await serveFleet(2, { store: sharedStore('sqlite'), limits });
  const onA = await a.openSession();
  const onB = b.join(onA);
  const get = await onB.get();
  await until(() => get.events.length === 1);
  const { server } = a.lab.made[0]?.server ?? {};
  for (const n of upTo) void server?.sendLoggingMessage({ level: 'error', data: n });
  await until(() => get.events.length === 1 + NOTIFICATIONS);
  const data = get.events.slice(1).map(({ message }) => (message as { params: { data: number } }).params.data);
  expect(data).toEqual(upTo);
  expect(get.ending).toBeUndefined();
});

describe.each(storeKinds)('on %s', (kind) => {
  test('an answer larger than eventRetention.bytes reaches a client that comes back for it', async () => {
    const lab = createLab();
    const store = sharedStore(kind);
    const options = { store: store(), eventRetention: { bytes: MIB } };
    const { client: connect } = await serveMember(options, undefined, lab);
    const client = connect();
    await client.initialize();
    const call = await client.post(toolCall('big', 'hold'));
    const { id } = await call.next();
    const held = await lab.held();
    call.abort();
    held.answer('x'.repeat(4 * MIB));
    // Events of other calls that come after it.
    for (let n = 0; n < 10; n++) await client.call('ping');
    await until(() => lab.holds.length === 1);
    const resumed = await client.get({ lastEventId: id });
    await resumed.untilEnd();
    const texts = resumed.events.flatMap(({ message }) => (message === undefined ? [] : [textOf(message)?.length]));
    expect(texts).toEqual([4 * MIB]);
  });
});
