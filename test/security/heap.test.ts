// @module-tag matrix
/**
 * Attacks on a process with a heap of 512 MB: it survives, another user is served throughout, and a late one has room
 * for a large call when the attack is over.
 */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { ATTACKS, largeCalls, leave } from './heap-attacks.ts';
import type { SmallHeap } from './processes/small-heap.ts';
import { callerOf, startSmallHeap, underAttack } from './small-heap.ts';

/** Until there is room: answers that are not read may last 60 s, and calls run before that. */
const ROOM_MS = 150_000;
const PADDING = 'x'.repeat(3 * 1024 * 1024);

async function expectRoom({ port }: SmallHeap): Promise<void> {
  const late = callerOf(port, 'late');
  await until(async () => (late.sessionId = (await late.initialize()).sessionId) !== undefined, {
    timeoutMs: ROOM_MS,
    what: 'a session of a late user',
  });
  const fits = async () => (await late.rpc('ping', { padding: PADDING })).status === 200;
  await until(fits, { timeoutMs: ROOM_MS, pollMs: 500, what: 'room for a large call' });
}

const cases = Object.entries(ATTACKS).flatMap(([name, { stores, run }]) =>
  stores.map((store) => [name, store, run] as const),
);

test.each(cases)('survives %s, on %s', { timeout: 400_000 }, async (_name, store, run) => {
  const server = await startSmallHeap({}, store === 'sqlite' ? join(temporaryFolder(), 'sessions.db') : undefined);
  await underAttack(server, async () => void (await run(server.port)));
  await expectRoom(server);
  expect(server.alive, server.output).toBe(true);
});

describeWithServer('redis', 'a process on Redis', (redis) => {
  test('survives large calls that are left while the store is away', { timeout: 180_000 }, async () => {
    const proxy = await createFaultProxy({ port: redis().port });
    onTestFinished(() => proxy.close());
    // The lease is valid for some of the calls, and has run out for the others.
    const store = redis().url.replace(`:${redis().port}`, `:${proxy.port}`);
    const server = await startSmallHeap({ leaseMs: 4_000, waitMs: 60_000 }, store);
    await underAttack(server, async () => {
      const send = await largeCalls(server.port, 0);
      proxy.refuse(true);
      proxy.cutAll();
      await leave(server.port, send);
      const began = performance.now();
      await until(() => performance.now() - began > 6_000, { timeoutMs: 20_000 });
      proxy.heal();
    });
    await expectRoom(server);
    expect(server.alive).toBe(true);
  });
});
