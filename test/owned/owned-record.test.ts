/** Claims whose replies are lost, and what the writes of an owner make of them. */
import { expect, test } from 'vitest';
import type { KeptRecords } from '../../src/kept/kept-records.ts';
import { OwnedRecord } from '../../src/owned/owned-record.ts';
import { TASKS } from '../../src/session/record/record-kinds.ts';
import { RECORD_VERSION, type Records } from '../../src/stores/store.ts';
import { memoryRooms } from '../stores/memory-rooms.ts';

const ID = `${'g'.repeat(16)}.1`;

/** A record of the owner `a`, that answers in a later turn. `losesReply`: the next claim takes effect and fails. */
function recordOfA(losesReply: boolean) {
  const { records: data } = memoryRooms(TASKS).deployment();
  const texts = { head: '', body: '', fields: {} };
  data.create({ v: RECORD_VERSION, id: ID, epoch: 1, owner: 'a', user: null, ...texts, createdAt: 0, stamp: 0 });
  const records = {
    read: async (id: string) => data.read(id),
    save: async (...given: Parameters<Records['save']>) => data.save(...given),
    claim: async (...given: Parameters<Records['claim']>) => {
      const outcome = data.claim(...given);
      if (losesReply) throw new Error('the reply is lost');
      return outcome;
    },
    lost: () => {},
  } as unknown as KeptRecords;
  const owned = new OwnedRecord({ records, reach: async (work) => work() }, ID, { epoch: 1, owner: 'a' });
  const write = (name: string) => owned.save(() => ({ fields: { [name]: 'x' } }));
  return { data, owned, write };
}

const reclaimed = (owned: OwnedRecord, owner: string): Promise<'lost' | 'failed' | undefined> =>
  new Promise((resolve) => {
    owned.reclaim(
      { owner },
      () => resolve('lost'),
      () => resolve('failed'),
    );
    setTimeout(resolve, 50, undefined);
  });

test('two writes at once find that a claim took effect whose reply was lost', async () => {
  const { owned, write, data } = recordOfA(true);
  expect(await reclaimed(owned, 'b')).toBe('failed');
  expect(await Promise.all([write('one'), write('two')])).toEqual(['written', 'written']);
  expect(data.read(ID)).toMatchObject({ epoch: 2, owner: 'b', fields: { one: 'x', two: 'x' } });
});

test('a lost record stays lost, also when this instance claims it for other work', async () => {
  const { owned, write, data } = recordOfA(false);
  data.claim(ID, { epoch: 1, owner: 'a' }, 'other');
  expect(await reclaimed(owned, 'b')).toBe('lost');
  owned.lose();
  data.claim(ID, { epoch: 2, owner: 'other' }, 'b');
  expect(await write('late')).toBe('fenced');
});
