// @module-tag matrix
/**
 * Shapes of attacks against a process with a heap of 512 MB: it survives, another user is served throughout, and a late
 * one has room for a large call when the attack is over. `npm run shapes` searches for others, for an hour each night.
 */
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { Caller } from './processes/caller.ts';
import type { SmallHeap } from './processes/small-heap.ts';
import { measureShape, type Scene, unchargedBytes } from './shapes/measure.ts';
import type { Shape } from './shapes/shape.ts';

const ATTACK_MS = 1_500;
/** The client sends 80 MB in this time. */
const LONG_ATTACK_MS = 8_000;
/** Until there is room: answers that are not read may last 60 s, and calls run before that. */
const ROOM_MS = 150_000;
const PADDING = 'x'.repeat(3 * 1024 * 1024);
/** Below `limits.bodyBytes`, with the message around it. */
const BODY_BYTES = 4_190_000;

const PLAIN: Shape = {
  era: '2026',
  method: 'ping',
  face: 'node',
  place: 'result',
  value: 'integers',
  count: 1,
  size: 1,
  depth: 1,
  batch: 1,
  headers: 0,
  headerSize: 1,
  chunk: 0,
  pipelined: 1,
  perConnection: 0,
  connections: 64,
  sessions: 'each',
  reads: true,
  leaves: 'in order',
  paceMs: 0,
  answer: 1,
  named: true,
};

/** Most of them ended the process. Of the first two an adapter held whole answers that no row had. */
const FOUND: Readonly<Record<string, Partial<Shape>>> = {
  'long answers of 2026-07-28 that are not read, on the fetch face': {
    face: 'fetch',
    method: 'tools/call big',
    answer: 4_000_000,
    reads: false,
  },
  'streams whose last message is long, and that are not read, on the fetch face': {
    era: '2025',
    face: 'fetch',
    method: 'tools/call last',
    pipelined: 4,
    answer: 1_000_000,
    reads: false,
  },
  'many short answers that are not read, on the fetch face': {
    era: '2025',
    face: 'fetch',
    method: 'tools/call big',
    pipelined: 200,
    answer: 60_000,
    reads: false,
  },
  'many short answers that are not read': {
    era: '2025',
    method: 'tools/call big',
    pipelined: 190,
    answer: 60_000,
    sessions: 'one',
    reads: false,
  },
  'requests behind a slow call': {
    era: '2025',
    method: 'tools/call wait',
    pipelined: 800,
    sessions: 'one',
    reads: false,
  },
  // A turn of the event loop can bring megabytes of requests, and each was kept until the turn ended.
  'refused requests with many fields, on the fetch face': {
    era: '2025',
    face: 'fetch',
    method: 'resources/unsubscribe',
    sessions: 'none',
    batch: 3,
    headers: 123,
    headerSize: 6,
    pipelined: 8,
  },
  'requests without a session that are refused, on the fetch face': {
    era: '2025',
    face: 'fetch',
    method: 'GET resume',
    sessions: 'none',
    headers: 2,
    headerSize: 4,
    pipelined: 1_488,
  },
  'bodies in chunks of 12 bytes whose answers are not read, on the fetch face': {
    era: 'sse',
    face: 'fetch',
    method: 'notifications/initialized',
    place: '_meta',
    value: 'booleans',
    count: 35,
    chunk: 12,
    connections: 18,
    sessions: 'one',
    reads: false,
  },
  'bodies of 30,000 chunks, on the fetch face': {
    era: '2025',
    face: 'fetch',
    method: 'initialize',
    place: 'uris',
    count: 28_885,
    size: 3,
    headerSize: 614,
    chunk: 2,
    sessions: 'none',
  },
  'batches of calls whose long answers are not read': {
    era: '2025',
    method: 'tools/call last',
    batch: 27,
    connections: 64,
    sessions: 'one',
    reads: false,
    answer: 4_658_856,
  },
  'many calls behind one stream of the 2024-11-05 transport that is not read': {
    era: 'sse',
    method: 'tools/call long',
    pipelined: 16,
    perConnection: 16,
    answer: 4_000_000,
    reads: false,
  },
};

const LONG_STREAM = {
  era: '2025',
  method: 'GET resume',
  answer: 7_500_000,
  sessions: 'one',
} as const;
const HANDSHAKE = {
  era: '2025',
  method: 'initialize',
  sessions: 'none',
  place: 'capabilities',
} as const;
/** A handler holds what it got until it settles. */
const LARGE_CALL = {
  era: '2025',
  method: 'tools/call wait',
  place: 'arguments',
  value: 'text',
  size: 3_500_000,
  connections: 8,
} as const;
/** Values that take many times their bytes. */
const VALUES = {
  'empty objects': { value: 'empty objects', count: BODY_BYTES / 3 },
  'nested arrays': { value: 'nested arrays', depth: 100, count: Math.floor(BODY_BYTES / 201) },
  keys: { value: 'keys', size: 6, count: 370_000 },
} as const;
const HELD_BODIES = { ...LARGE_CALL, size: 1, connections: 16 } as const;

/** These take more than a moment. */
const LASTING: Readonly<Record<string, Partial<Shape>>> = {
  'handshakes of 4 MB': { ...HANDSHAKE, value: 'text', size: BODY_BYTES, connections: 16 },
  'ordinary handshakes without end': { ...HANDSHAKE, place: 'result', connections: 32 },
  'bodies that are sent slowly': {
    era: '2025',
    place: 'more',
    value: 'text',
    size: BODY_BYTES,
    leaves: 'half a body',
    connections: 60,
  },
  'bodies of empty objects': { ...HELD_BODIES, ...VALUES['empty objects'] },
  'bodies of nested arrays': { ...HELD_BODIES, ...VALUES['nested arrays'] },
  'bodies of keys': { ...HELD_BODIES, ...VALUES.keys },
  'bodies of empty objects in 2026-07-28': {
    ...HELD_BODIES,
    ...VALUES['empty objects'],
    era: '2026',
  },
  'bodies of nested arrays that were parsed before': {
    ...HELD_BODIES,
    ...VALUES['nested arrays'],
    face: 'parsed',
    chunk: 65_536,
  },
  'a subscriptions/listen with half a million URIs': {
    method: 'subscriptions/listen',
    place: 'uris',
    value: 'short texts',
    count: 550_000,
    connections: 8,
  },
  'calls without end in 2026-07-28': { method: 'tools/call wait', connections: 2_000 },
  'large calls of sessions, whose clients leave': { ...LARGE_CALL, leaves: 'cut' },
  'large calls of 2026-07-28, whose handlers ignore that their clients leave': {
    ...LARGE_CALL,
    era: '2026',
    leaves: 'cut',
  },
  'large notifications, whose clients leave': {
    ...LARGE_CALL,
    method: 'notifications/roots/list_changed',
    place: '_meta',
    leaves: 'cut',
  },
};

/** On PostgreSQL appends that were charged too late ended the process; on SQLite other users waited for 16 s. */
const MANY_UNREAD: Partial<Shape> = {
  era: '2025',
  method: 'tools/call big',
  answer: 4_000_000,
  connections: 64,
  paceMs: 250,
  reads: false,
};

/** What the store has a part in: on memory, and on SQLite. */
const STORED: Readonly<Record<string, Partial<Shape>>> = {
  'sessions with the largest handshakes': {
    ...HANDSHAKE,
    value: 'keys',
    count: 245,
    size: 40,
    connections: 8,
  },
  '700 sessions with 250 KB of state': {
    era: '2025',
    method: 'tools/call keep',
    answer: 250_000,
    connections: 700,
  },
  'answers that are not read': {
    era: '2025',
    method: 'tools/call big',
    answer: 8_000_000,
    connections: 16,
    paceMs: 1_000,
    reads: false,
  },
  'answers that are not read on 64 connections': MANY_UNREAD,
  'resumes of one long stream': { ...LONG_STREAM, connections: 60 },
  'resumes of one long stream that are not read': {
    ...LONG_STREAM,
    pipelined: 30,
    connections: 10,
    reads: false,
  },
};

async function expectRoom({ port }: SmallHeap): Promise<void> {
  const late = new Caller(port, 'late');
  await until(async () => (late.sessionId = (await late.initialize()).sessionId) !== undefined, {
    timeoutMs: ROOM_MS,
    what: 'a session of a late user',
  });
  const fits = async () => (await late.rpc('ping', { padding: PADDING })).status === 200;
  await until(fits, { timeoutMs: ROOM_MS, pollMs: 500, what: 'room for a large call' });
}

async function survives(shape: Partial<Shape>, ms: number, scene: Scene = {}): Promise<void> {
  const cost = await measureShape({ ...PLAIN, ...shape }, ms, { after: expectRoom, ...scene });
  expect(cost.sent.requests).toBeGreaterThan(0);
  expect([cost.alive, cost.witness.failed], cost.output).toEqual([true, []]);
}

const TIMES = { timeout: 400_000 };

describe('ends no process, and no call of another user fails:', () => {
  test.each(Object.entries(FOUND))('%s', TIMES, (_, shape) => survives(shape, ATTACK_MS));
  test.each(Object.entries(LASTING))('%s', TIMES, (_, shape) => survives(shape, LONG_ATTACK_MS));
  test.each(Object.entries(STORED))('%s, on memory', TIMES, (_, shape) =>
    survives(shape, LONG_ATTACK_MS),
  );
  test.each(Object.entries(STORED))('%s, on SQLite', TIMES, (_, shape) =>
    survives(shape, LONG_ATTACK_MS, { store: join(temporaryFolder(), 'sessions.db') }),
  );
});

describeWithServer('redis', 'a process on Redis', (redis) => {
  test('survives large calls that are left while the store is away', TIMES, async () => {
    const proxy = await createFaultProxy({ port: redis().port });
    onTestFinished(() => proxy.close());
    // The lease is valid for some of the calls, and has run out for the others.
    await survives({ ...LARGE_CALL, leaves: 'cut' }, LONG_ATTACK_MS, {
      options: { leaseMs: 4_000, maxWaitMs: 60_000 },
      store: redis().url.replace(`:${redis().port}`, `:${proxy.port}`),
      begun: () => {
        proxy.refuse(true);
        proxy.cutAll();
      },
      after: (server) => {
        proxy.heal();
        return expectRoom(server);
      },
    });
  });
});

describeWithServer('postgres', 'a process on PostgreSQL', (postgres) => {
  test('survives answers that are not read on 64 connections', TIMES, () =>
    survives(MANY_UNREAD, LONG_ATTACK_MS, { store: postgres().url }),
  );
});

test(
  'what an answered request held on the fetch face goes with its answer',
  { timeout: 180_000 },
  async () => {
    const arrays = { place: 'clientInfo', value: 'empty arrays', count: 8_000 } as const;
    const cost = await measureShape(
      { ...PLAIN, era: '2025', face: 'fetch', ...arrays },
      4 * ATTACK_MS,
    );
    expect(cost.sent.answers['200']).toBeGreaterThan(100);
    // Before, the signal of each request kept its body until a full garbage collection: 190 MB of a heap of 512 MB.
    expect([cost.alive, cost.witness.failed, unchargedBytes(cost)], cost.output).toEqual([
      true,
      [],
      0,
    ]);
  },
);

test(
  'notifications that wait on when their client has left are charged',
  { timeout: 180_000 },
  async () => {
    // Handlers of `roots/list_changed` ask the client and wait, so the notifications behind them wait too.
    const keys = {
      method: 'notifications/roots/list_changed',
      place: 'cursor',
      value: 'keys',
      count: 41,
    } as const;
    const cut = { size: 109_075, connections: 1, leaves: 'cut', answer: 255_301 } as const;
    const cost = await measureShape({ ...PLAIN, era: '2025', ...keys, ...cut }, 4 * ATTACK_MS);
    expect(cost.sent.requests).toBeGreaterThan(1_000);
    // 30 to 50 MiB before: a thousand messages with keys of their own.
    expect([cost.alive, cost.witness.failed, unchargedBytes(cost)], cost.output).toEqual([
      true,
      [],
      0,
    ]);
  },
);

test.each<[string, Partial<Shape>]>([
  // A timer of each idle connection kept the last call on it, with its message: 33 to 48 MiB.
  ['a notification', { method: 'notifications/unknown' }],
  // Node keeps the last request of a connection, and that kept the bytes of its body: 20 to 23 MiB.
  ['a call', { method: 'tools/call last', answer: 170_000 }],
])(
  'what a client sent in %s goes with its answer, although its connection stays',
  { timeout: 180_000 },
  async (_, of) => {
    const uris = {
      place: 'uri',
      value: 'URIs',
      count: 1_261,
      size: 379,
      paceMs: 349,
      connections: 64,
    } as const;
    const cost = await measureShape({ ...PLAIN, era: '2026', ...uris, ...of }, 2 * ATTACK_MS);
    expect(cost.sent.requests).toBeGreaterThan(30);
    expect([cost.alive, cost.witness.failed, unchargedBytes(cost)], cost.output).toEqual([
      true,
      [],
      0,
    ]);
  },
);

/** In 12 s, 6 to 25 MiB were measured without what waits on connections that closed; with it 100 to 290 MiB. */
const PIPELINED_BYTES = 48 * 2 ** 20;

test.each<[string, Partial<Shape>]>([
  ['requests', { method: 'GET resume', answer: 116_139 }],
  ['answers', { method: 'tools/call big', answer: 60_000, reads: false }],
  // The stream of a request that is over kept what its client had not taken: 110 to 220 MiB.
  [
    'batches of long answers',
    { method: 'tools/call last', batch: 16, pipelined: 2, connections: 28, answer: 2_989_706 },
  ],
])(
  '%s behind another on the fetch face go with their connection',
  { timeout: 180_000 },
  async (_, found) => {
    const pipelined = { pipelined: 21, perConnection: 208, ...found };
    const cost = await measureShape(
      { ...PLAIN, era: '2025', face: 'fetch', ...pipelined },
      LONG_ATTACK_MS,
    );
    expect(cost.sent.requests).toBeGreaterThan(208);
    expect([cost.alive, cost.witness.failed], cost.output).toEqual([true, []]);
    expect(cost.heapBytes - cost.chargedBytes).toBeLessThan(PIPELINED_BYTES);
  },
);
