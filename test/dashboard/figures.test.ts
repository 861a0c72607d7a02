/** What an instance counts for the dashboard: right, bounded whatever clients send, and small in its lease. */
import { expect, test } from 'vitest';
import { InstanceFigures } from '../../src/dashboard/server/instance-figures.ts';
import type { Figures } from '../../src/dashboard/wire.ts';
import { Recent } from '../../src/dashboard/server/recent.ts';
import { Notices, type RequestNotice } from '../../src/base/observe/notices.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const LONG = 'x'.repeat(20_000);

function counted() {
  const time = createFakeTime();
  const notices = new Notices();
  const registry = { count: 3, values: () => [{ calls: { running: { size: 4 } } }] };
  const options = { notices, timeProvider: time, leaseMs: 3_000 };
  const core = {
    registry,
    shutdown: { sessionless: 1 },
    legacy: { waiting: { size: 2 } },
    options,
  };
  const figures = new InstanceFigures({ ...core, health: () => ({ store: 'ok' }) } as never);
  const call = (more: Partial<RequestNotice> = {}): void =>
    notices.emit({
      kind: 'request',
      http: 'POST',
      method: 'tools/call',
      target: 'echo',
      status: 200,
      refused: undefined,
      failure: undefined,
      resumed: false,
      left: false,
      ms: 5,
      endedAt: time.monotonic(),
      sessionId: 's',
      ...more,
    });
  return { time, notices, figures, call };
}

test('a percentile is right to a tenth, and what is old is forgotten', () => {
  let now = 0;
  const recent = new Recent(1_000, () => now);
  now = 500;
  for (let n = 1; n <= 1_000; n++) recent.add('a', n / 2, n % 100 === 0);
  const [{ p50, p99, ...sum } = { p50: 0, p99: 0 }] = recent.list();
  expect(Math.abs(p50 - 250)).toBeLessThan(25);
  expect(Math.abs(p99 - 495)).toBeLessThan(50);
  expect(sum).toEqual({ name: 'a', calls: 1_000, errors: 10, slowest: 500 });
  now = 1_500;
  recent.add('a', 1);
  expect(recent.list()[0]?.calls).toBe(1_001);
  now = 2_600;
  expect(recent.list()[0]?.calls).toBe(1);
  now = 9_000;
  expect(recent.list()).toEqual([]);
});

test('requests are counted by what they are, and a stream is none', async () => {
  const { time, notices, figures, call } = counted();
  notices.tools.add('echo');
  call();
  await time.advance(4_000);
  call({ failure: { isError: true }, ms: 50 });
  call({ target: 'a name of a client', failure: { error: -32_602 } });
  call({ target: 'unlisted' });
  call({ refused: { status: 403, reason: 'origin', why: '' }, status: 403, method: undefined });
  call({ method: 'notifications/initialized' });
  call({ method: 'subscriptions/listen', ms: 60_000 });
  call({ http: 'GET', method: undefined, ms: 60_000 });
  notices.emit({
    kind: 'requestWaited',
    reason: 'owner_unreachable',
    outcome: 'served',
    ms: 5_200,
    sessionId: 's',
  });
  notices.emit({
    kind: 'requestWaited',
    reason: 'owner_unreachable',
    outcome: 'refused',
    ms: 9_000,
    sessionId: 's',
  });
  notices.emit({ kind: 'callLost', runsAgain: true, method: 'tools/call' });
  figures.storeTook(1.234);
  const { calls, ...read } = figures.read();
  expect(calls.filter((n) => n > 0)).toEqual([1, 4]);
  expect(read).toMatchObject({
    sessions: 3,
    running: 5,
    waiting: 2,
    errors: 3,
    storeMs: 1.2,
    rerun: 1,
    waited: { calls: 2, longestMs: 9_000, refused: 1 },
    tools: [
      { name: 'echo', calls: 2, errors: 1, slowest: 50 },
      { name: '_OTHER', calls: 1, errors: 1 },
      // The handler ran at another instance, and no list passed here.
      { name: 'unlisted', calls: 1, errors: 0 },
    ],
  });
  expect(read.lost).toBeUndefined();
});

test('an outage is told while it lasts, and after it', async () => {
  const { time, notices, figures, call } = counted();
  await time.advance(60_000);
  const since = time.now();
  notices.emit({ kind: 'storeUnavailable', error: new Error('gone') });
  await time.advance(5_000);
  expect([figures.awaySince, figures.read().away]).toEqual([since, undefined]);
  // What runs in sessions waits too: its answer needs the store.
  expect(figures.read()).toMatchObject({ running: 1, waiting: 6 });
  notices.emit({ kind: 'storeBack', ms: 5_000 });
  expect([figures.awaySince, figures.read().away]).toEqual([undefined, { since, ms: 5_000 }]);
  await time.advance(200);
  // In turn: one that waited, one that ran before as well, one that began now, one without a session.
  call({ ms: 4_000 });
  call({ ms: 60_000 });
  call({ ms: 100 });
  call({ ms: 4_000, sessionId: undefined });
  // It says the same as the end of its request.
  notices.emit({
    kind: 'requestWaited',
    reason: 'store_unavailable',
    outcome: 'served',
    ms: 4_000,
    sessionId: 's',
  });
  expect(figures.read().waited).toEqual({ calls: 2, longestMs: 6_200, refused: 0 });
});

test('whatever clients send, the store gets at most 2 KiB, and texts are cut', () => {
  const { notices, figures, call } = counted();
  for (let n = 0; n < 500; n++) {
    notices.tools.add(`${n} ${'t'.repeat(100)}`);
    call({ target: `${n} ${'t'.repeat(100)}` });
    call({ target: `unknown ${n}`, failure: { isError: true } });
    call({ target: `answered ${n}` });
    const headers: Record<string, string> = {
      origin: `https://${n}.${LONG}`,
      'user-agent': `a${n}/${LONG} x`,
    };
    const exchange = {
      userKey: `["u","${n}${LONG}"]`,
      authority: LONG,
      header: (name: string) => headers[name],
    };
    const refusal = {
      status: 400 + (n % 30),
      reason: `reason_${n % 100}`,
      why: `${LONG}\u001b[31m`,
    };
    notices.emit({ kind: 'requestRefused', ...refusal, sessionId: undefined, exchange });
  }
  const text = figures.text();
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(2_048);
  const read = JSON.parse(text) as Figures;
  expect(read.sessions).toBe(3);
  expect(read.tools.length + read.refusals.length).toBeGreaterThanOrEqual(4);
  // The page of the instance itself gets more, and that is bounded too.
  const own = figures.read();
  expect([own.tools.length, own.refusals.length]).toEqual([20, 20]);
  expect(Math.max(...own.refusals.map(({ callers }) => callers.length))).toBeLessThanOrEqual(16);
  expect(Math.max(...own.refusals.map(({ why }) => why.length))).toBeLessThanOrEqual(170);
  expect(JSON.stringify(own)).not.toContain('\u001b[');
  expect(Buffer.byteLength(JSON.stringify(own))).toBeLessThan(200_000);
});

test('a flood of callers hides no client that is refused again and again', () => {
  const { notices, figures } = counted();
  const refusal = {
    kind: 'requestRefused',
    status: 401,
    reason: 'unauthorized',
    why: 'no token',
  } as const;
  const refuse = (client: string): void => {
    const exchange = {
      authority: 'a',
      header: (name: string) => (name === 'user-agent' ? client : undefined),
    };
    notices.emit({ ...refusal, sessionId: undefined, exchange });
  };
  for (let n = 0; n < 1_000; n++) {
    refuse(`flood-${n}`);
    if (n % 20 === 0) refuse('cursor/1.9');
  }
  const [first] = figures.read().refusals;
  expect([first?.times, first?.callers[0]]).toEqual([1_050, { client: 'cursor/1.9', times: 50 }]);
  // Nor does one whose callers all came back.
  for (let n = 0; n < 64; n++) for (let times = 0; times < 2; times++) refuse(`twice-${n}`);
  for (let n = 0; n < 100; n++) refuse('zed/1.0');
  expect(figures.read().refusals[0]?.callers[0]).toEqual({ client: 'zed/1.0', times: 100 });
});
