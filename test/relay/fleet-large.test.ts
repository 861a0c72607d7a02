// @module-tag matrix
/** What is larger than a frame of a link, or than what a store carries at once, goes in parts. */
import { describe, expect, test } from 'vitest';
import { serveFleet } from '../kit/fleet.ts';
import { textOf, tool, toolCall } from '../kit/lab.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

const MIB = 1_048_576;
/** Of characters of one, two, three and four bytes: a part may end in the middle of none. */
const text = 'aé尺🧪'.repeat((3 * MIB) / 10);

describe.each(storeKinds)('on the store %s', (kind) => {
  test('a body and a result of 3 MiB pass from one instance to another, in order with what is small', async () => {
    const [a, b] = await serveFleet(2, { store: sharedStore(kind) });
    const onA = await a.openSession();
    const onB = b.join(onA);
    const calls = [
      onB.call(...tool('echo', { text })),
      onB.call(...tool('count')),
      onB.call(...tool('echo', { text })),
    ];
    const [large, small, again] = await Promise.all(calls);
    expect(textOf(large?.message)).toBe(text);
    expect(textOf(small?.message)).toBe('1');
    expect(textOf(again?.message)).toBe(text);
    expect([a.lab.made.length, b.lab.made.length]).toEqual([1, 0]);
  });

  test('a result of 3 MiB is kept in the log, and replayed at another instance', async () => {
    const eventRetention = { ttlMs: 60_000, events: 100, bytes: 16 * MIB };
    const [a, b] = await serveFleet(2, { store: sharedStore(kind), eventRetention });
    const onA = await a.openSession();
    const stream = await onA.post(toolCall('big', 'hold'));
    const held = await a.lab.held();
    const primed = await stream.next();
    stream.abort();
    held.answer(text);
    const resumed = await b.join(onA).get({ lastEventId: primed?.id });
    expect(textOf((await resumed.nextMessage()) as object)).toBe(text);
  });
});
