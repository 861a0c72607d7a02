// @module-tag matrix
/**
 * Bodies whose values take many times their bytes: empty objects, nested arrays, keys that no other object has. A
 * process with a heap of 256 MB survives them, whatever their shape, and serves another user.
 */
import { expect, test } from 'vitest';
import { envelope, mirrored } from '../kit/modern.ts';
import { Caller, startSmallHeap, times, underAttack } from './small-heap.ts';

const MIB = 1024 * 1024;
const BODIES = 16;
/** Below `limits.bodyBytes`, with the request around it. */
const BYTES = 4 * MIB - 500;
/** Longer than all bodies take to arrive. */
const HANDLER_MS = 4_000;

const word = (n: number): string => n.toString(36).padStart(4, 'x');
const repeated = (element: string): string =>
  `[${element.repeat(Math.floor(BYTES / element.length) - 1)}${element.slice(0, -1)}]`;
const listed = (count: number, one: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => one(n)).join();

/** The arguments of a call. */
const SHAPES: Readonly<Record<string, () => string>> = {
  'empty objects': () => `{"x":${repeated('{},')}}`,
  'nested arrays': () => `{"x":${repeated(`${'['.repeat(100)}${']'.repeat(100)},`)}}`,
  keys: () => `{${listed(400_000, (i) => `"${word(i)}":0`)}}`,
};

const SESSION = { open: (caller: Caller) => caller.open(), meta: {}, headers: {} };
const MODERN = {
  open: async () => {},
  meta: { _meta: envelope() },
  headers: mirrored('tools/call', { name: 'wait' }) as Record<string, string>,
};
/** As a framework does, for a body in chunks, which has no `Content-Length`. */
const PARSED = { ...SESSION, headers: { 'x-parsed': 'yes', 'transfer-encoding': 'chunked' } };

test.each([
  ...Object.keys(SHAPES).map((shape) => ['on a session', shape, SESSION] as const),
  ['in 2026-07-28', 'empty objects', MODERN] as const,
  ['parsed before', 'nested arrays', PARSED] as const,
])('%s a process with a small heap survives bodies of %s', { timeout: 180_000 }, async (_, shape, era) => {
  const server = await startSmallHeap();
  await underAttack(server, async () => {
    const attacker = new Caller(server.port, 'attacker', BODIES);
    await era.open(attacker);
    const args = `,"arguments":{"ms":${HANDLER_MS},${SHAPES[shape]?.().slice(1) ?? ''}`;
    const answers = await times(BODIES, BODIES, (n) => {
      const message = { jsonrpc: '2.0', id: 1_000 + n, method: 'tools/call', params: { name: 'wait', ...era.meta } };
      return attacker.post(JSON.stringify(message).replace(/\}\}$/, `${args}}}`), era.headers);
    });
    // Each body was served, or refused with an error that names a limit.
    const said = answers.map(({ text }) => /"content"|limits\.(?:memoryBytes|bodyKeys)/.exec(text)?.[0]);
    expect(said).not.toContain(undefined);
  });
});
