/** Claims whose replies are lost, and what the writes of an owner make of them. */
import { expect, test, vi } from 'vitest';
import type { KeptRecords } from '../../src/kept/kept-records.ts';
import { SILENT } from '../../src/options/logger.ts';
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
  const [lost, failed] = [vi.fn(), vi.fn()];
  const logger = { ...SILENT, debug: failed };
  const lease = { owner: 'b', valid: true, ownersMayReturn: false };
  const kind = { records, reach: async <T>(work: () => T | Promise<T>) => work(), lease, logger };
  const owned = new OwnedRecord(kind, ID, { epoch: 1, owner: 'a' }, lost);
  const write = (name: string) => owned.save(() => ({ fields: { [name]: 'x' } }));
  /** How often it was lost, and how often a claim failed. */
  const reclaimed = async () => {
    owned.reclaim();
    await owned.claimed();
    return { lost: lost.mock.calls.length, failed: failed.mock.calls.length };
  };
  return { data, owned, write, reclaimed };
}

test('two writes at once find that a claim took effect whose reply was lost', async () => {
  const { write, data, reclaimed } = recordOfA(true);
  expect(await reclaimed()).toEqual({ lost: 0, failed: 1 });
  expect(await Promise.all([write('one'), write('two')])).toEqual(['written', 'written']);
  expect(data.read(ID)).toMatchObject({ epoch: 2, owner: 'b', fields: { one: 'x', two: 'x' } });
});

test('a lost record stays lost, also when this instance claims it for other work', async () => {
  const { owned, write, data, reclaimed } = recordOfA(false);
  data.claim(ID, { epoch: 1, owner: 'a' }, 'other');
  expect(await reclaimed()).toEqual({ lost: 1, failed: 0 });
  owned.lose();
  data.claim(ID, { epoch: 2, owner: 'other' }, 'b');
  expect(await write('late')).toBe('fenced');
});
