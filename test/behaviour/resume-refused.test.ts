import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime, type RawClient } from '../../src/testing/index.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { hashOf } from '../kit/log.ts';

async function serveLab(options: McpEndpointOptions = {}) {
  const lab = createLab();
  const served = await serve(lab.factory, options);
  const one = served.client();
  await one.initialize();
  return { lab, ...served, one };
}

/** The id of the last event of an answered call. */
async function seenId(client: RawClient): Promise<string> {
  const { response } = await client.call('ping');
  return (await response.untilEnd()).at(-1)?.id ?? '';
}

async function refused(client: RawClient, lastEventId: string) {
  const response = await client.get({ lastEventId });
  expect(response.header('content-type')).toBe('application/json');
  const { error, id } = response.json() as { error: { code: number; message: string }; id: unknown };
  expect([response.status, error.code, id]).toEqual([400, -32000, null]);
  return error.message;
}

describe('B113 with eventRetention: false', () => {
  test('streams have no event ids and no retry', async () => {
    const { one, lab } = await serveLab({ eventRetention: false });
    const get = await one.get();
    await lab.made[0]?.server.server.sendResourceListChanged();
    await get.nextMessage();
    const { response } = await one.call(...tool('log'));
    const events = [...get.events, ...(await response.untilEnd())];
    expect(events.map(({ id, retry, data }) => [id, retry, data !== ''])).toEqual(
      events.map(() => [undefined, undefined, true]),
    );
    expect(events.length).toBe(4);
  });

  test('B119 a Last-Event-ID is 400: the session does not support resuming', async () => {
    const { one } = await serveLab({ eventRetention: false });
    expect(await refused(one, 'x-1-g-0')).toContain('does not support resuming');
    expect((await one.call('ping')).response.status).toBe(200);
  });
});

describe('B118 a Last-Event-ID', () => {
  test('with the id of an unknown session is 404', async () => {
    const { one, client } = await serveLab();
    const lastEventId = await seenId(one);
    const response = await client().get({ lastEventId, sessionId: 'unknown' });
    expect(response.status).toBe(404);
    expect(response.json()).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32001, message: 'Session not found' },
    });
  });

  test('of another session is 400 and says so', async () => {
    const { one, client } = await serveLab();
    const other = client();
    await other.initialize();
    await seenId(other);
    expect(await refused(other, await seenId(one))).toBe('Bad Request: Last-Event-ID belongs to another session');
  });
});

describe('B119 a Last-Event-ID is 400 when it', () => {
  test.each(['nonsense', 'a b', '-1', '../../etc/passwd', 'x'.repeat(5_000), '0'])('is %s', async (lastEventId) => {
    const { one } = await serveLab();
    expect(await refused(one, lastEventId)).toContain('Last-Event-ID is not one of this server');
  });

  test('names a stream or an event that never was', async () => {
    const { one } = await serveLab();
    const id = await seenId(one);
    const [tag, epoch, stream, offset] = id.split('-');
    for (const made of [
      [tag, epoch, 'p1xzz', '0'],
      [tag, epoch, stream, 'zz'],
      [tag, 'zz', stream, offset],
      [tag, epoch, 'g', '0'], // no GET has been opened
    ]) {
      expect(await refused(one, made.join('-'))).toMatch(/Last-Event-ID (has expired or )?is unknown/);
    }
    expect((await one.get({ lastEventId: id })).status).toBe(204);
  });

  test('has expired', async () => {
    const time = createFakeTime();
    const { one } = await serveLab({ timeProvider: time, eventRetention: { ttlMs: 60_000 } });
    const { response } = await one.call(...tool('log'));
    const [primed] = await response.untilEnd();
    await time.advance(59_999);
    const kept = await one.get({ lastEventId: primed?.id });
    expect((await kept.untilEnd()).filter(({ message }) => message !== undefined).length).toBe(3);
    await time.advance(1);
    expect(await refused(one, primed?.id ?? '')).toContain('Last-Event-ID has expired or is unknown');
  });
});

test('B120 an empty Last-Event-ID counts as absent', async () => {
  const { one, lab } = await serveLab();
  const get = await one.get({ lastEventId: '' });
  expect([get.status, get.sse]).toEqual([200, true]);
  await lab.made[0]?.server.server.sendResourceListChanged();
  expect(await get.nextMessage()).toMatchObject({ method: 'notifications/resources/list_changed' });
});

describe('B124 ctx.http.closeSSE', () => {
  const seen = async (options: McpEndpointOptions, protocolVersion: string) => {
    const { client, lab } = await serveLab(options);
    const one = client();
    await one.initialize({ protocolVersion });
    const called = one.call(...tool('hold'));
    const { ctx, answer } = await lab.held();
    answer('done');
    expect(textOf((await called).message)).toBe('done');
    return [typeof ctx.http?.closeSSE, typeof ctx.http?.closeStandaloneSSE];
  };

  test('is there at 2025-11-25 with a log', async () => {
    expect(await seen({}, '2025-11-25')).toEqual(['function', 'function']);
  });
  test('is undefined with eventRetention: false', async () => {
    expect(await seen({ eventRetention: false }, '2025-11-25')).toEqual(['undefined', 'undefined']);
  });
  test.each(['2025-06-18', '2025-03-26'])('is undefined at %s', async (version) => {
    expect(await seen({}, version)).toEqual(['undefined', 'undefined']);
  });
});

test('B125 ctx.http.closeSSE is undefined on the 2024-11-05 transport', async () => {
  const lab = createLab();
  const { client } = await serve(lab.factory, { legacySse: true });
  const one = client();
  const stream = await one.get({ path: '/mcp/sse' });
  const path = (await stream.next(({ event }) => event === 'endpoint')).data;
  const send = (message: object) => one.post({ jsonrpc: '2.0', ...message }, { path });
  const clientInfo = { name: 'old', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  await send({ id: 1, method: 'initialize', params });
  await stream.nextMessage();
  await send({ method: 'notifications/initialized' });
  await send({ id: 2, method: 'tools/call', params: { name: 'hold', arguments: {} } });
  const { ctx, answer } = await lab.held();
  expect(ctx.http?.req).toBeDefined();
  expect([ctx.http?.closeSSE, ctx.http?.closeStandaloneSSE]).toEqual([undefined, undefined]);
  answer('done');
  expect(textOf(await stream.nextMessage())).toBe('done');
  expect(stream.events.map(({ id, retry }) => [id, retry])).toEqual(stream.events.map(() => [undefined, undefined]));
});

describe('B130 a gap', () => {
  test('found before the head is 400: what came after has been dropped in part', async () => {
    const { one, lab } = await serveLab({ eventRetention: { events: 3 } });
    const server = lab.made[0]?.server.server;
    const get = await one.get();
    const { id } = await get.next();
    get.abort();
    for (const data of [1, 2, 3, 4]) await server?.sendLoggingMessage({ level: 'info', data });
    expect(await refused(one, id ?? '')).toContain('Last-Event-ID has expired or is unknown');
    // The client starts over with a plain GET.
    const fresh = await one.get();
    await server?.sendLoggingMessage({ level: 'info', data: 5 });
    expect(await fresh.nextMessage()).toMatchObject({ params: { data: 5 } });
  });

  test('on the stream of a call is passed over, with a warning: the answer is kept', async () => {
    const { one, log } = await serveLab({ eventRetention: { events: 2 } });
    const { response } = await one.call(...tool('log'));
    const [primed] = await response.untilEnd();
    const resumed = await one.get({ lastEventId: primed?.id });
    expect(resumed.status).toBe(200);
    const messages = (await resumed.untilEnd()).flatMap(({ message }) => (message === undefined ? [] : [message]));
    expect(messages).toMatchObject([{ params: { data: 'big' } }, { result: { content: [{ text: 'logged' }] } }]);
    expect(log.matching(/resumes a call after events that are no longer kept/, 'warn')).toHaveLength(1);
  });

  test('without one everything that is kept is replayed', async () => {
    const { one, lab } = await serveLab({ eventRetention: { events: 3 } });
    const server = lab.made[0]?.server.server;
    const get = await one.get();
    await server?.sendLoggingMessage({ level: 'info', data: 0 });
    await get.nextMessage();
    const id = get.events.at(-1)?.id;
    get.abort();
    for (const data of [1, 2, 3]) await server?.sendLoggingMessage({ level: 'info', data });
    const again = await one.get({ lastEventId: id });
    await until(() => again.events.length === 4);
    expect(again.events.map(({ message }) => (message as { params?: { data: number } })?.params?.data)).toEqual([
      undefined,
      1,
      2,
      3,
    ]);
  });

  test('that opens later ends the stream: a message that could not be stored is not passed over in silence', async () => {
    const store = watchedStore();
    const { one, lab, log } = await serveLab({ store, waitMs: 50 });
    const server = lab.made[0]?.server.server;
    const get = await one.get();
    await server?.sendLoggingMessage({ level: 'info', data: 1 });
    await get.nextMessage();
    store.before['events.append'] = () => Promise.reject(new Error('connection lost'));
    void server?.sendLoggingMessage({ level: 'info', data: 2 });
    await get.untilEnd();
    expect(get.ending).toBe('complete');
    expect(log.matching(/could not be stored/, 'error').map(({ fields }) => fields['sessionId'])).toEqual([
      hashOf(one.sessionId),
    ]);
  });
});
