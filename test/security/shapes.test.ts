// @module-tag matrix
/**
 * Shapes of attacks against a process with a heap of 512 MB: those that a search found. `npm run shapes` searches for
 * others, for an hour each night.
 */
import { describe, expect, test } from 'vitest';
import { measureShape, unchargedBytes } from './shapes/measure.ts';
import type { Shape } from './shapes/shape.ts';

const ATTACK_MS = 1_500;
const LONG_ATTACK_MS = 8_000;

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

/** Most of them ended the process. Of the first three an adapter held whole answers that no row had. */
const FOUND: Readonly<Record<string, Partial<Shape>>> = {
  'long answers of 2026-07-28 that are not read, on the fetch face': {
    face: 'fetch',
    method: 'tools/call big',
    answer: 4_000_000,
    reads: false,
  },
  'long answers of sessions that are not read, on the fetch face': {
    era: '2025',
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
  'streams that are not read, on the fetch face': {
    face: 'fetch',
    method: 'tools/call long',
    answer: 4_000_000,
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

describe('a shape that the search found ends no process, and no call of another user fails', () => {
  test.each(Object.entries(FOUND))('%s', { timeout: 180_000 }, async (_, found) => {
    const cost = await measureShape({ ...PLAIN, ...found }, ATTACK_MS);
    expect(cost.sent.requests).toBeGreaterThan(0);
    expect([cost.alive, cost.witness.failed], cost.output).toEqual([true, []]);
  });
});

test('what an answered request held on the fetch face goes with its answer', { timeout: 180_000 }, async () => {
  const arrays = { place: 'clientInfo', value: 'empty arrays', count: 8_000 } as const;
  const cost = await measureShape({ ...PLAIN, era: '2025', face: 'fetch', ...arrays }, 4 * ATTACK_MS);
  expect(cost.sent.answers['200']).toBeGreaterThan(100);
  // Before, the signal of each request kept its body until a full garbage collection: 190 MB of a heap of 512 MB.
  expect([cost.alive, cost.witness.failed, unchargedBytes(cost)], cost.output).toEqual([true, [], 0]);
});

test('notifications that wait on when their client has left are charged', { timeout: 180_000 }, async () => {
  // Handlers of `roots/list_changed` ask the client and wait, so the notifications behind them wait too.
  const keys = { method: 'notifications/roots/list_changed', place: 'cursor', value: 'keys', count: 41 } as const;
  const cut = { size: 109_075, connections: 1, leaves: 'cut', answer: 255_301 } as const;
  const cost = await measureShape({ ...PLAIN, era: '2025', ...keys, ...cut }, 4 * ATTACK_MS);
  expect(cost.sent.requests).toBeGreaterThan(1_000);
  // 30 to 50 MiB before: a thousand messages with keys of their own.
  expect([cost.alive, cost.witness.failed, unchargedBytes(cost)], cost.output).toEqual([true, [], 0]);
});

test.each<[string, Partial<Shape>]>([
  // A timer of each idle connection kept the last call on it, with its message: 33 to 48 MiB.
  ['a notification', { method: 'notifications/unknown' }],
  // Node keeps the last request of a connection, and that kept the bytes of its body: 20 to 23 MiB.
  ['a call', { method: 'tools/call last', answer: 170_000 }],
])(
  'what a client sent in %s goes with its answer, although its connection stays',
  { timeout: 180_000 },
  async (_, of) => {
    const uris = { place: 'uri', value: 'URIs', count: 1_261, size: 379, paceMs: 349, connections: 64 } as const;
    const cost = await measureShape({ ...PLAIN, era: '2026', ...uris, ...of }, 2 * ATTACK_MS);
    expect(cost.sent.requests).toBeGreaterThan(30);
    expect([cost.alive, cost.witness.failed, unchargedBytes(cost)], cost.output).toEqual([true, [], 0]);
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
])('%s behind another on the fetch face go with their connection', { timeout: 180_000 }, async (_, found) => {
  const pipelined = { pipelined: 21, perConnection: 208, ...found };
  const cost = await measureShape({ ...PLAIN, era: '2025', face: 'fetch', ...pipelined }, LONG_ATTACK_MS);
  expect(cost.sent.requests).toBeGreaterThan(208);
  expect([cost.alive, cost.witness.failed], cost.output).toEqual([true, []]);
  expect(cost.heapBytes - cost.chargedBytes).toBeLessThan(PIPELINED_BYTES);
});
