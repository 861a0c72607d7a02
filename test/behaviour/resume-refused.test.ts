// @module-tag per-session
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawEvent } from '../kit/sse-parser.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { parseEventId } from '../../src/session/streams/event-id.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { hashOf } from '../kit/log.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { NOT_FOUND } from '../kit/refusals.ts';
import { inLab } from '../kit/sessions.ts';

/** The ids of the events of an answered call. */
async function idsOfCall(client: RawClient): Promise<string[]> {
  const { response } = await client.call('ping');
  return (await response.untilEnd()).map(({ id = '' }) => id);
}

const begunId = async (client: RawClient): Promise<string> => (await idsOfCall(client))[0] ?? '';
const seenId = async (client: RawClient): Promise<string> => (await idsOfCall(client)).at(-1) ?? '';

/** A new GET stream that begins with every kind of `list_changed`. */
async function begunAnew(client: RawClient, lastEventId: string): Promise<RawResponse> {
  const response = await client.get({ lastEventId });
  expect([response.status, response.sse]).toEqual([200, true]);
  const told = [await response.nextMessage(), await response.nextMessage()];
  expect(told).toMatchObject(
    ['tools', 'resources'].map((kind) => ({ method: `notifications/${kind}/list_changed` })),
  );
  return response;
}

/** One error with the id of the call, and an end after which no client should come back. */
async function answeredWithError(
  client: RawClient,
  lastEventId: string,
  code = -32000,
): Promise<RawEvent> {
  const response = await client.get({ lastEventId });
  const events = await response.untilEnd();
  expect([response.status, response.sse, response.ending]).toEqual([200, true, 'complete']);
  const call = (parseEventId(lastEventId) as { call: string }).call;
  expect(events).toMatchObject([
    { message: { jsonrpc: '2.0', id: call, error: { code, data: { mayHaveRun: true } } } },
  ]);
  // Words that make hosts run a call again.
  expect(JSON.stringify(events[0]?.message).replace('session_not_found', '')).not.toMatch(
    /session|not connected|connection closed|connection refused|fetch failed/i,
  );
  return events[0] as RawEvent;
}

describe('B113 with eventRetention: false', () => {
  test('streams have no event ids and no retry', async () => {
    const { one, server } = await inLab({ eventRetention: false });
    const get = await one.get();
    await server.server.sendResourceListChanged();
    await get.nextMessage();
    const { response } = await one.call(...tool('log'));
    const events = [...get.events, ...(await response.untilEnd())];
    expect(events.map(({ id, retry, data }) => [id, retry, data !== ''])).toEqual(
      events.map(() => [undefined, undefined, true]),
    );
    expect(events.length).toBe(4);
  });

  test('B119 a Last-Event-ID opens a new GET stream', async () => {
    const { one } = await inLab({ eventRetention: false });
    await begunAnew(one, 'x-1-g-0');
    expect((await one.call('ping')).response.status).toBe(200);
  });
});

describe('B118 a Last-Event-ID', () => {
  test('with the id of an unknown session is an error of the call that it names, else 404', async () => {
    const { one, client } = await inLab();
    const other = client();
    other.sessionId = 'unknown';
    const lastEventId = await seenId(one);
    const { id } = await answeredWithError(other, lastEventId, -32001);
    const [plain] = lastEventId.split('.');
    // No client waits there, and no client that got the error waits.
    for (const unnamed of [plain, id, (await (await one.get()).next()).id]) {
      const response = await other.get({ lastEventId: unnamed });
      expect(response.status).toBe(404);
      expect(response.json()).toEqual(NOT_FOUND);
    }
  });

  test('B214 of another session is an error of the call that it names, or a new GET stream', async () => {
    const { one, openSession } = await inLab();
    const other = await openSession();
    // An event before the answer, which has the same stream and number in both sessions.
    const [theirs, own] = [await begunId(one), await begunId(other)];
    expect(theirs.split('-').slice(1)).toEqual(own.split('-').slice(1));
    await answeredWithError(other, theirs);
    const { id } = await (await one.get()).next();
    await begunAnew(other, id ?? '');
  });

  test('of a session that ended is an error of the call that it names, or 404', async () => {
    const { one } = await inLab();
    const get = await (await one.get()).next();
    const lastEventId = await seenId(one);
    expect((await one.delete()).status).toBe(200);
    await answeredWithError(one, lastEventId, -32001);
    expect((await one.get({ lastEventId: get.id })).status).toBe(404);
  });
});

describe('B119 a Last-Event-ID', () => {
  test.each(['nonsense', 'a b', '-1', '../../etc/passwd', 'x'.repeat(5_000), '0'])(
    'that is no event id opens a new GET stream: %s',
    async (lastEventId) => {
      const { one } = await inLab();
      await begunAnew(one, lastEventId);
    },
  );

  test('that names a stream or an event that never was is an error of its call', async () => {
    const { one } = await inLab();
    const id = await seenId(one);
    const [place = '', call] = id.split('.');
    const [tag, epoch, stream, offset] = place.split('-');
    for (const made of [
      [tag, epoch, 'p1_zz', '0'],
      [tag, epoch, stream, 'zz'],
      [tag, 'zz', stream, offset],
    ]) {
      const error = await answeredWithError(one, `${made.join('-')}.${call}`);
      // Some clients come back after every error.
      await one.get();
      expect((await one.get({ lastEventId: error.id })).status).toBe(204);
      // An id of an earlier build, or of a call whose id is too long, names no call.
      expect((await one.get({ lastEventId: made.join('-') })).status).toBe(204);
    }
    expect((await one.get({ lastEventId: id })).status).toBe(204);
  });

  test('of a GET stream that was never opened opens it', async () => {
    const { one } = await inLab();
    const [tag, epoch] = (await seenId(one)).split('-');
    await begunAnew(one, `${tag}-${epoch}-g-0`);
  });

  test('that has expired is an error of its call', async () => {
    const time = createFakeTime();
    const { one } = await inLab({ timeProvider: time, eventRetention: { maxAgeMs: 60_000 } });
    const { response } = await one.call(...tool('log'));
    const [primed] = await response.untilEnd();
    await time.advance(59_999);
    const kept = await one.get({ lastEventId: primed?.id });
    expect((await kept.untilEnd()).filter(({ message }) => message !== undefined).length).toBe(3);
    await time.advance(1);
    await answeredWithError(one, primed?.id ?? '');
  });
});

test('B120 an empty Last-Event-ID counts as absent', async () => {
  const { one, server } = await inLab();
  const get = await one.get({ lastEventId: '' });
  expect([get.status, get.sse]).toEqual([200, true]);
  await server.server.sendResourceListChanged();
  expect(await get.nextMessage()).toMatchObject({ method: 'notifications/resources/list_changed' });
});

describe('B124 ctx.http.closeSSE', () => {
  const seen = async (options: McpEndpointOptions, protocolVersion: string) => {
    const { one, lab } = await inLab(options, { protocolVersion });
    const called = one.call(...tool('hold'));
    const { ctx, answer } = await lab.held();
    answer('done');
    expect(textOf((await called).message)).toBe('done');
    return [typeof ctx.http?.closeSSE, typeof ctx.http?.closeStandaloneSSE];
  };

  test.each<[string, string, McpEndpointOptions, string]>([
    ['2025-11-25', 'with a log', {}, 'function'],
    ['2025-11-25', 'without sessions (B99)', { sessionMode: 'stateless' }, 'undefined'],
    ['2025-11-25', 'with eventRetention: false', { eventRetention: false }, 'undefined'],
    ['2025-06-18', 'with a log', {}, 'undefined'],
    ['2025-03-26', 'with a log', {}, 'undefined'],
  ])('at %s %s: %o is %s', async (version, _, options, type) => {
    expect(await seen(options, version)).toEqual([type, type]);
  });
});

test('B125 ctx.http.closeSSE is undefined on the 2024-11-05 transport', async () => {
  const lab = createLab();
  const { client } = await serve(lab.factory, { legacySse: true });
  const { stream, post } = await openSse(client(), '/mcp/sse', '2025-11-25');
  await post(toolCall(2, 'hold'));
  const { ctx, answer } = await lab.held();
  expect(ctx.http?.req).toBeDefined();
  expect([ctx.http?.closeSSE, ctx.http?.closeStandaloneSSE]).toEqual([undefined, undefined]);
  answer('done');
  expect(textOf(await stream.nextMessage())).toBe('done');
  expect(stream.events.map(({ id, retry }) => [id, retry])).toEqual(
    stream.events.map(() => [undefined, undefined]),
  );
});

describe('B130 a gap', () => {
  test('B38 on the GET stream begins it anew: what came after has been dropped in part', async () => {
    const { one, say } = await inLab({ eventRetention: { events: 3 } });
    const get = await one.get();
    const { id } = await get.next();
    get.abort();
    for (const data of [1, 2, 3, 4]) await say(data);
    const fresh = await begunAnew(one, id ?? '');
    await say(5);
    expect(await fresh.nextMessage()).toMatchObject({ params: { data: 5 } });
  });

  test('on the stream of a call is passed over, with a warning: the answer is kept', async () => {
    const { one, log } = await inLab({ eventRetention: { events: 2 } });
    const { response } = await one.call(...tool('log'));
    const [primed] = await response.untilEnd();
    const resumed = await one.get({ lastEventId: primed?.id });
    expect(resumed.status).toBe(200);
    await resumed.untilEnd();
    expect(resumed.messages).toMatchObject([
      { params: { data: 'big' } },
      { result: { content: [{ text: 'logged' }] } },
    ]);
    expect(
      log.matching(/resumes a call after events that are no longer kept/, 'warn'),
    ).toHaveLength(1);
  });

  test('without one everything that is kept is replayed', async () => {
    const { one, say } = await inLab({ eventRetention: { events: 3 } });
    const get = await one.get();
    await say(0);
    await get.nextMessage();
    const id = get.events.at(-1)?.id;
    get.abort();
    for (const data of [1, 2, 3]) await say(data);
    const again = await one.get({ lastEventId: id });
    await until(() => again.events.length === 4);
    const seen = again.events.map(({ message }) => message?.params?.['data']);
    expect(seen).toEqual([undefined, 1, 2, 3]);
  });

  const outage =
    'that a store outage would open is none: a reader that came before: %s stays, and gets the message';
  test.each([true, false])(outage, async (before) => {
    const store = watchedStore();
    const { one, say, log } = await inLab({ store, maxWaitMs: 0 });
    const reader = before ? await one.get() : undefined;
    await reader?.next();
    let tries = 0;
    store.before['sessions.append'] = () => {
      tries += 1;
      return Promise.reject(new Error('connection lost'));
    };
    const get = reader ?? (await one.get());
    await say(2);
    await until(() => tries > 4);
    expect(get.ending).toBeUndefined();
    delete store.before['sessions.append'];
    expect(await get.nextMessage()).toMatchObject({ params: { data: 2 } });
    expect(
      log.matching(/could not be stored/, 'error').map(({ fields }) => fields['sessionId']),
    ).toEqual([hashOf(one.sessionId)]);
  });
});
