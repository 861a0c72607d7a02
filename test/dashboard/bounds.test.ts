/** What a dashboard keeps is bounded: names, ids, reasons, sessions, clients, and streams that are not read. */
import { describe, expect, test } from 'vitest';
import { Collector } from '../../src/dashboard/server/collector.ts';
import { FleetEvents } from '../../src/dashboard/server/fleet-events.ts';
import { Payloads } from '../../src/dashboard/server/payloads.ts';
import type { Fleet } from '../../src/dashboard/server/fleet.ts';
import { PageStream } from '../../src/dashboard/server/page-stream.ts';
import { RefusalRows } from '../../src/dashboard/server/refusal-rows.ts';
import { SessionRing } from '../../src/dashboard/server/session-ring.ts';
import { Sessionless } from '../../src/dashboard/server/sessionless.ts';
import { Stops } from '../../src/dashboard/server/stops.ts';
import { Notices, type RequestNotice } from '../../src/observe/notices.ts';
import { WatchedRequest } from '../../src/observe/watched-request.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const SELF = { id: 'self' };
const LONG = 'n'.repeat(100_000);

const time = () => {
  const fake = createFakeTime();
  return { ...fake, monotonic: () => fake.now() } as ReturnType<typeof createFakeTime> & { monotonic(): number };
};

const exchange = (fields: Readonly<Record<string, string>>, user?: string) => ({
  user,
  header: (name: string) => fields[name],
});

const request = (more: Partial<RequestNotice>): RequestNotice => ({
  kind: 'request',
  http: 'POST',
  method: 'tools/call',
  target: 'echo',
  status: 200,
  refused: undefined,
  failure: undefined,
  resumed: false,
  left: false,
  ms: 1,
  endedAt: 1,
  sessionId: undefined,
  client: undefined,
  user: undefined,
  payload: undefined,
  ...more,
});

describe('refusals', () => {
  const refusal = {
    status: 403,
    reason: 'origin',
    why: 'Origin is not allowed here; name it in the option allowedOrigins',
  };

  test('callers that come once make room, and who comes again stays', () => {
    const rows = new RefusalRows(time());
    for (let n = 0; n < 3; n++) rows.note(refusal, exchange({ origin: 'https://again.example' }));
    for (let n = 0; n < 5_000; n++) rows.note(refusal, exchange({ origin: `https://${n}.example` }));
    const [origin] = rows.list();
    expect(origin?.times).toBe(5_003);
    expect(origin?.callers.length).toBeLessThanOrEqual(128);
    expect(origin?.callers[0]).toMatchObject({ origin: 'https://again.example', times: 3 });
    const shown = origin?.callers.reduce((sum, { times }) => sum + times, 0) ?? 0;
    expect(shown + (origin?.others ?? 0)).toBe(5_003);
  });

  test('all reasons together have so many rows, with short texts without control characters', () => {
    const rows = new RefusalRows(time());
    const long = LONG.slice(0, 10_000);
    for (let n = 0; n < 3_000; n++) {
      const fields = { origin: `${n}${long}\u202e\n`, 'user-agent': `${n}${long}`, host: `${n}${long}` };
      rows.note(
        { ...refusal, reason: `r${n % 100}`, why: long },
        exchange(fields, JSON.stringify(['user', `${n}${long}`])),
      );
    }
    const list = rows.list();
    expect(list.length).toBeLessThanOrEqual(64);
    expect(list.reduce((sum, { callers }) => sum + callers.length, 0)).toBeLessThanOrEqual(256);
    expect(JSON.stringify(list).length).toBeLessThan(256 * 1_024);
    expect(JSON.stringify(list)).not.toMatch(/\\u202e|\\n/);
  });

  test('an hour later none is left', async () => {
    const clock = time();
    const rows = new RefusalRows(clock);
    rows.note(refusal, exchange({ origin: 'https://a.example' }));
    await clock.advance(3_600_000);
    expect(rows.list()).toEqual([]);
    expect(rows.count).toEqual({ times: 0, reasons: [] });
  });

  test('an address is kept only where the log has it', () => {
    const rows = new RefusalRows(time());
    rows.note({ ...refusal, reason: 'user_limit', user: '192.0.2.1' }, exchange({}));
    rows.note(refusal, { ...exchange({}), clientAddress: '192.0.2.2' } as never);
    expect(JSON.stringify(rows.list())).toContain('192.0.2.1');
    expect(JSON.stringify(rows.list())).not.toContain('192.0.2.2');
  });
});

test('clients without a session are so many, however they call themselves; those that come again stay', () => {
  const clock = time();
  const clients = new Sessionless(clock);
  const client = (name: string) => ({ name, version: '1', protocolVersion: '2026-07-28' });
  for (let n = 0; n < 5_000; n++) {
    for (const name of ['again', `c${n}`])
      clients.request(request({ client: client(name), endedAt: clock.monotonic() + n }));
  }
  const list = clients.list();
  expect(list.length).toBeLessThanOrEqual(256);
  expect(list.map(({ clientInfo }) => clientInfo.name)).toEqual(expect.arrayContaining(['c4999', 'again']));
  expect(list.find(({ clientInfo }) => clientInfo.name === 'again')?.perMinute).toBe(5_000);
});

test('a client is one for each user, name and version, and is forgotten 15 minutes later', async () => {
  const clock = time();
  const clients = new Sessionless(clock);
  const of = (name: string, version: string, user?: string) =>
    clients.request(
      request({ client: { name, version, protocolVersion: '2026-07-28' }, user, endedAt: clock.monotonic() }),
    );
  for (let n = 0; n < 3; n++) for (const user of [undefined, 'ann', 'bo']) of('a', '1', user);
  // A user that is called like a client is not that client.
  of('ann', '1');
  of('a', '2', 'ann');
  expect(
    clients
      .list()
      .map(({ clientInfo, userName, perMinute }) =>
        [clientInfo.name, clientInfo.version, userName, perMinute].join(' '),
      )
      .toSorted(),
  ).toEqual(['a 1  3', 'a 1 ann 3', 'a 1 bo 3', 'a 2 ann 1', 'ann 1  1']);
  await clock.advance(900_000);
  expect([clients.list(), clients.count]).toEqual([[], 0]);
});

test('a request that no page watches costs two looks at the clock and none at the sessions', () => {
  const clock = time();
  const looks = { now: 0, monotonic: 0 };
  const counted = {
    ...clock,
    now: () => ((looks.now += 1), clock.now()),
    monotonic: () => ((looks.monotonic += 1), clock.monotonic()),
  };
  const notices = new Notices();
  const registry = new Proxy(
    {},
    { get: (_, name) => (name === 'then' ? undefined : expect.unreachable(String(name))) },
  );
  const collector = new Collector(counted, registry as never, notices, SELF);
  const exchange = { method: 'POST', sessionId: 's', user: undefined, header: () => undefined };
  Object.assign(looks, { now: 0, monotonic: 0 });
  for (let n = 0; n < 100; n++) {
    const watched = new WatchedRequest(notices, counted);
    watched.carries('tools/call', { name: 'echo' });
    watched.head(200);
    watched.over(exchange, false);
  }
  expect(looks).toEqual({ now: 0, monotonic: 200 });
  expect(collector.ring.rowsOf('s')).toHaveLength(100);
  expect(collector.count.requests).toBe(100);
  collector.stop();
});

test('timelines of all sessions have so many rows, and ids without end have none', () => {
  const ring = new SessionRing(time(), SELF);
  for (let n = 0; n < 10_000; n++) ring.request(request({ sessionId: `s${n % 10}` }), `s${n % 10}`);
  const all = Array.from({ length: 10 }, (_, n) => ring.rowsOf(`s${n}`).length).reduce((sum, rows) => sum + rows, 0);
  expect(all).toBe(2_048);
  expect(ring.isFull).toBe(true);
  for (let n = 0; n < 3_000; n++) ring.request(request({}), `${n}${LONG}`);
  expect(ring.rowsOf(`0${LONG}`)).toEqual([]);
  expect(ring.rowsOf('s9').length).toBeGreaterThan(0);
});

test('what a request carried is not kept by the timeline, and is shown only where it was asked for', () => {
  const ring = new SessionRing(time(), SELF);
  const payloads = new Payloads(time(), new Notices());
  const payload = { params: { name: 'echo', arguments: { text: 'hello', apiKey: 'k-1234' } }, sent: [] };
  expect(payloads.begin('s')).toBeUndefined();
  payloads.shows = 'keys';
  expect(payloads.linesOf('s', payload)).toBeUndefined();
  expect(payloads.begin('s')).toBeGreaterThan(0);
  ring.request(request({ payload, sessionId: 's' }), 's', payloads.linesOf('s', payload));
  const [row] = ring.rowsOf('s');
  expect(JSON.stringify(row)).not.toContain('hello');
  expect(row).toMatchObject({
    payload: [
      { path: 'params', type: 'object', length: 2 },
      { path: 'params.name', type: 'string', length: 4 },
      { path: 'params.arguments', type: 'object', length: 2 },
      { path: 'params.arguments.text', type: 'string', length: 5 },
      { path: 'params.arguments.apiKey', type: 'string', length: 6 },
    ],
  });
});

test.each([
  ['a member that is called secret', { password: 'hunter2' }, 'hunter2'],
  ['a member below one', { credentials: { user: 'ann', pin: 4_711 } }, '4711'],
  ['a token without a name', { value: 'ghp_0123456789abcdefghij0123' }, 'ghp_'],
  ['a JSON web token', { value: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig-sig-sig' }, 'eyJ'],
  ['a header in a text', { text: 'Authorization: Bearer abc' }, 'abc'],
  ['a private key', { text: '-----BEGIN PRIVATE KEY-----\nMII' }, 'MII'],
])('values are shown without %s', (_what, params, secret) => {
  const payloads = new Payloads(time(), new Notices());
  payloads.shows = 'values';
  payloads.begin('s');
  const lines = payloads.linesOf('s', { params: { ...params, city: 'Oslo' }, sent: [] });
  expect(JSON.stringify(lines)).toContain('Oslo');
  expect(JSON.stringify(lines)).not.toContain(secret);
});

test('payloads end after five minutes, and deep and wide ones are cut', async () => {
  const clock = time();
  const notices = new Notices();
  const payloads = new Payloads(clock, notices);
  payloads.shows = 'values';
  payloads.begin('s');
  expect(notices.wanted.payloads).toBe(true);
  let deep: unknown = 'bottom';
  for (let n = 0; n < 100; n++) deep = { down: deep };
  const wide = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`${n}${LONG.slice(0, 1_000)}`, LONG]));
  const lines = payloads.linesOf('s', { params: { deep, wide }, sent: [LONG, `{"result":${JSON.stringify(wide)}}`] });
  expect(lines?.length).toBeLessThanOrEqual(64);
  expect(JSON.stringify(lines).length).toBeLessThan(64 * 1_024);
  expect(JSON.stringify(lines)).not.toContain('bottom');
  await clock.advance(300_000);
  expect(payloads.linesOf('s', { params: {}, sent: [] })).toBeUndefined();
  expect(notices.wanted.payloads).toBe(false);
});

test('interruptions, their calls and the sessions that they touched are bounded', () => {
  const clock = time();
  const stops = new Stops(clock, SELF);
  for (let instance = 0; instance < 100; instance++) {
    for (let n = 0; n < 200; n++) {
      const sessionId = `${instance} ${n}`;
      stops.note({ kind: 'relayed', to: `i${instance}`, outcome: 'lost', ms: 5, sessionId });
      stops.note({ kind: 'restored', sessionId, cause: 'takeover', from: `i${instance}`, at: clock.now() });
      stops.request(request({ sessionId, ms: 20 }));
    }
  }
  const all = stops.since(0);
  expect(all.length).toBe(16);
  expect(Math.max(...all.map(({ calls }) => calls.length))).toBe(64);
  expect(all.at(-1)).toMatchObject({ kind: 'gone', instance: 'i99', moved: 200, waited: 200, lost: 0 });
});

test('events are the newest 200', () => {
  const events = new FleetEvents(time(), SELF);
  for (let n = 0; n < 1_000; n++) events.note({ kind: 'leaseRemoved', instance: `i${n}` });
  expect(events.since(0).length).toBe(200);
  expect(events.since(0).at(-1)?.instance).toBe('i999');
});

describe('a stream that is not read', () => {
  const fleet = { add: async () => {}, delete: () => {} } as unknown as Fleet;
  const hello = {} as ConstructorParameters<typeof PageStream>[2];

  /** It takes nothing. */
  const stuck = () => ({
    pendingBytes: 0,
    destroyed: 0,
    write(text: string) {
      this.pendingBytes += text.length;
    },
    end() {},
    destroy() {
      this.destroyed += 1;
    },
  });

  test('holds what it had when it fell behind, and is broken after 10 s', async () => {
    const clock = time();
    const open = new Set<PageStream>();
    const stream = new PageStream(fleet, clock, hello, open, false);
    const target = stuck();
    stream.begin(target);
    for (let n = 0; n < 19; n++) {
      stream.fleet('x'.repeat(40_000));
      await clock.advance(500);
    }
    expect(target.pendingBytes).toBeLessThan(128 * 1_024);
    expect(target.destroyed).toBe(0);
    for (let n = 0; n < 4; n++) {
      stream.fleet('x');
      await clock.advance(500);
    }
    expect([target.destroyed, open.size]).toEqual([1, 0]);
  });

  test('is broken at once when it holds too much', () => {
    const open = new Set<PageStream>();
    const stream = new PageStream(fleet, time(), hello, open, false);
    const target = stuck();
    stream.begin(target);
    for (let n = 0; n < 1_000; n++) stream.event({ id: `${n}`, at: 0, kind: 'other', text: 'x'.repeat(4_096) });
    expect(target.destroyed).toBe(1);
    expect(target.pendingBytes).toBeLessThan(520 * 1_024);
  });
});
