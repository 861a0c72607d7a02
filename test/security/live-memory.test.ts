// @module-tag matrix
/**
 * What live sessions keep: their handshakes, with the copies of their servers, and `session.state`. One user who opens
 * many of them takes a share, and a process with a small heap survives it.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Caller, startSmallHeap, times, underAttack } from './small-heap.ts';
import { temporaryFolder } from '../kit/temporary.ts';

/** 16 KB of empty objects, with keys that no other handshake has: the largest that a handshake became in memory. */
const capabilities = (n: number): object => ({
  experimental: Object.fromEntries(Array.from({ length: 1_500 }, (_, key) => [`${n.toString(36)}${key}`, {}])),
});
/** The most keys that a handshake may have. */
const fewer = (n: number): object => ({
  experimental: Object.fromEntries(
    Array.from({ length: 245 }, (_, key) => [`${n.toString(36)}-${key}-${'x'.repeat(40)}`, {}]),
  ),
});

const stores: ReadonlyArray<readonly [string, () => string | undefined]> = [
  ['memory', () => undefined],
  ['sqlite', () => join(temporaryFolder(), 'sessions.db')],
];

test('a handshake of more keys than any client sends is refused by name', { timeout: 120_000 }, async () => {
  const server = await startSmallHeap();
  const attacker = new Caller(server.port, 'attacker', 4);
  await underAttack(server, async () => {
    const answers = await times(50, 4, (n) => attacker.initialize(capabilities(n)));
    expect(answers.every(({ status }) => status === 413)).toBe(true);
    expect(answers[0]?.text).toMatch(/may have 512 keys and objects/);
  });
});

test.each(stores)(
  'on %s 1,500 sessions of one user with the largest handshakes end no process, and the other user is served',
  { timeout: 300_000 },
  async (_, path) => {
    const server = await startSmallHeap({}, path());
    const attacker = new Caller(server.port, 'attacker', 8);
    await underAttack(server, async () => {
      const answers = await times(1_500, 8, (n) => attacker.initialize(fewer(n)));
      const statuses = new Set(answers.map(({ status }) => status));
      expect([...statuses].every((status) => status === 200 || status === 503)).toBe(true);
      expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(100);
    });
  },
);

test.each(stores)(
  'on %s 700 sessions of one user with 250 KB of state end no process, and the other user is served',
  { timeout: 300_000 },
  async (_, path) => {
    const server = await startSmallHeap({}, path());
    await underAttack(server, async () => {
      const value = 'x'.repeat(250_000);
      const outcomes = await times(700, 8, async () => {
        const one = new Caller(server.port, 'attacker', 1);
        const { sessionId, status } = await one.initialize();
        if (sessionId === undefined) return status;
        one.sessionId = sessionId;
        const { text } = await one.rpc('tools/call', { name: 'keep', arguments: { value } });
        return text.includes('limits.memoryBytes') ? 'refused' : text.includes('kept') ? 'kept' : text.slice(0, 300);
      });
      const seen = new Set(outcomes);
      expect([...seen].filter((one) => one !== 'kept' && one !== 'refused' && one !== 503)).toEqual([]);
      expect(seen).toContain('kept');
    });
  },
);
