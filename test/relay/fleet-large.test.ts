// @module-tag matrix
/** What is larger than a frame of a link, or than what a store carries at once, goes in parts. */
import { describe, expect, test } from 'vitest';
import { serveFleet } from '../kit/fleet.ts';
import { textOf, tool } from '../kit/lab.ts';
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
});
