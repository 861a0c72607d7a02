// @module-tag matrix
/** Large bodies that other instances relay count in the memory budget of the owner, and are given back. */
import { expect, test } from 'vitest';
import { serveMember } from '../kit/fleet.ts';
import { say, tool } from '../kit/lab.ts';
import { sharedStore, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

useSharedStores();

const MIB = 1_048_576;
/** A byte of a body counts as four. */
const ROOM = 4;
const limits = { memoryBytes: (4 * ROOM + 2) * MIB, userShare: 1 };

test('an owner refuses relayed bodies for which its budget has no room, serves small calls, and has its room back afterwards', async () => {
  const store = sharedStore('sqlite');
  const owner = await serveMember({ store: store(), limits });
  // Each has room for all of them.
  const relays = [await serveMember({ store: store() }), await serveMember({ store: store() })];
  const client = await owner.openSession({}, { timeoutMs: 30_000 });
  const [near, far] = relays.map((relay) => relay.join(client, { timeoutMs: 30_000 }));
  if (near === undefined || far === undefined) throw new Error('two were served');
  let begun = 0;

  /** Holds as many large calls as there is room for, and answers them, or closes their connections. */
  const flood = async (end: 'answer' | 'leave'): Promise<void> => {
    const calls = Array.from({ length: 12 }, (_, n) => {
      const [method, params] = tool('hold');
      const padded = { ...(params as object), _meta: { padding: 'x'.repeat(MIB) } };
      return (n % 2 === 0 ? near : far).post({ jsonrpc: '2.0', id: `${end}-${n}`, method, params: padded });
    });
    const refused: unknown[] = [];
    const answered: unknown[] = [];
    const open: { abort(): void }[] = [];
    for (const call of calls) {
      void call
        .then(async (response) => {
          if (response.sse) {
            open.push(response);
            answered.push(await response.nextMessage());
          } else {
            await response.ended;
            const { error } = JSON.parse(response.body) as { error: { data: { reason: string } } };
            refused.push(`${response.status} ${error.data.reason}`);
          }
        })
        .catch(() => {});
    }
    await until(() => refused.length === 12 - ROOM, { timeoutMs: 30_000 });
    expect(new Set(refused)).toEqual(new Set(['200 over_memory']));
    await until(() => owner.lab.holds.length === begun + ROOM);
    expect(await say(near, 'count')).toMatch(/^\d+$/);
    const held = owner.lab.holds.slice(begun);
    begun += ROOM;
    if (end === 'leave') {
      for (const response of open) response.abort();
      for (const { answer } of held) answer('late');
    } else {
      for (const { answer } of held) answer('done');
      await until(() => answered.length === ROOM);
    }
  };

  await flood('answer');
  await flood('leave');
  await flood('answer');
});
