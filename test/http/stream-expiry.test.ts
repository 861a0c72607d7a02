/** Streams end when the token of their caller expires; a call that cannot be resumed keeps its answer. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { AuthOptions, McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { bearer } from '../kit/issuer.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { connectSse } from '../kit/legacy-sse.ts';
import { postModern } from '../kit/modern.ts';
import { serveFleet } from '../kit/fleet.ts';
import { serve, type Face } from '../kit/serve.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { inLab } from '../kit/sessions.ts';

useSharedStores();

const MINUTE_MS = 60_000;

/** `short` lives a minute, or so many seconds; `long` an hour. */
const authOf = (now: () => number, short = 60): AuthOptions => ({
  verify: async (token): Promise<AuthInfo> => ({
    token,
    clientId: 'c',
    scopes: [],
    expiresAt: Math.floor(now() / 1_000) + (token === 'short' ? short : 3_600),
    extra: { sub: 'ada' },
  }),
});

function open(more: McpEndpointOptions = {}) {
  const began = Date.now();
  const time = createFakeTime(began);
  return { time, options: { auth: authOf(() => began), timeProvider: time, ...more } };
}

describe.each<Face>(['listen', 'fetch'])('over %s', (face) => {
  test('a GET stream ends, and a refreshed token opens it again', async () => {
    const { time, options } = open();
    const { one } = await inLab(options, bearer('short'), { face });
    const [short, long] = [await one.get(bearer('short')), await one.get(bearer('long'))];
    await time.advance(MINUTE_MS);
    await short.untilEnd();
    expect((await one.call('ping', {}, bearer('short'))).response.status).toBe(401);
    expect((await one.call('ping', {}, bearer('long'))).response.status).toBe(200);
    await time.advance(MINUTE_MS);
    long.abort();
    expect(await long.ended).toBe('aborted');
  });

  test('the stream of a call of 2025-11-25 ends, and its answer is resumed with a refreshed token', async () => {
    const { time, options } = open();
    const { one, lab } = await inLab(
      options,
      { protocolVersion: '2025-11-25', ...bearer('short') },
      { face },
    );
    const [method, params] = tool('hold');
    const stream = await one.post({ jsonrpc: '2.0', id: 50, method, params }, bearer('short'));
    const { id: lastEventId } = await stream.next();
    const held = await lab.held();
    await time.advance(MINUTE_MS);
    await stream.untilEnd();
    held.answer('done');
    const resumed = await one.get({ lastEventId, ...bearer('long') });
    expect(textOf((await resumed.nextMessage()) as never)).toBe('done');
  });

  test('a call whose client could not resume is answered', async () => {
    const { time, options } = open();
    const { one, lab } = await inLab(
      options,
      { protocolVersion: '2025-06-18', ...bearer('short') },
      { face },
    );
    const call = one.call(...tool('hold'), bearer('short'));
    const held = await lab.held();
    await time.advance(2 * MINUTE_MS);
    held.answer('done');
    expect(textOf((await call).message)).toBe('done');
  });

  test('a subscriptions/listen ends', async () => {
    const { time, options } = open();
    const { client } = await serve(createLab().factory, options, { face });
    const params = { notifications: { toolsListChanged: true } };
    const stream = await postModern(client(), 'subscriptions/listen', params, bearer('short'));
    await stream.nextMessage();
    await time.advance(MINUTE_MS);
    await stream.untilEnd();
  });

  test('a connection of the 2024-11-05 transport ends', async () => {
    const { time, options } = open({ legacySse: true });
    const { client } = await serve(createLab().factory, options, { face });
    const { stream } = await connectSse(client(), '/mcp/sse', bearer('short'));
    await time.advance(MINUTE_MS);
    await stream.untilEnd();
  });
});

test('a stream at another instance than its session ends as well', async () => {
  const store = sharedStore('sqlite');
  const [a, b] = await serveFleet(2, { auth: authOf(Date.now, 2), store: () => store() });
  const one = await a.openSession(bearer('long'));
  const stream = await b.join(one).get(bearer('short'));
  expect(stream.status).toBe(200);
  expect(await stream.ended).toBe('complete');
});
