/** Claims whose replies are lost, and what the writes of an owner make of them. */
import { expect, test, vi } from 'vitest';
import { storeUnavailable } from '../../../src/base/errors.ts';
import { SILENT } from '../../../src/base/options/logger.ts';
import type { Outcomes } from '../../../src/durable/records/outcomes.ts';
import { OwnedRecord } from '../../../src/durable/records/owned-record.ts';
import { whileAway } from '../../../src/session/record/pause.ts';
import { TASKS } from '../../../src/session/record/record-kinds.ts';
import { RECORD_VERSION, type Records } from '../../../src/stores/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { memoryRooms } from '../../stores/memory-rooms.ts';

const ID = `${'g'.repeat(16)}.1`;

/** A record of the owner `a`, that answers in a later turn. `losesReply`: the first claim takes effect and fails. */
function recordOfA(losesReply: boolean) {
  const { records: data } = memoryRooms(TASKS).deployment();
  const texts = { head: '', body: '', fields: {} };
  data.create({
    v: RECORD_VERSION,
    id: ID,
    epoch: 1,
    owner: 'a',
    user: null,
    ...texts,
    createdAt: 0,
    stamp: 0,
  });
  let claims = 0;
  const records = {
    read: async (id: string) => data.read(id),
    save: async (...given: Parameters<Records['save']>) => data.save(...given),
    claim: async (...given: Parameters<Records['claim']>) => {
      const outcome = data.claim(...given);
      if (losesReply && (claims += 1) === 1) throw storeUnavailable('the reply is lost');
      return outcome;
    },
  } as unknown as Records;
  const lost = vi.fn();
  const lease = { owner: 'b', valid: true, ownersMayReturn: false };
  const wait = { time: createFakeTime(), maxWaitMs: Infinity, stopped: () => false };
  const reach = <T>(work: () => T | Promise<T>): Promise<T> => {
    const reached = whileAway(wait, work);
    void wait.time.advance(1_000);
    return reached;
  };
  const outcomes = undefined as unknown as Outcomes;
  const kind = { records, outcomes, reach, lease, logger: SILENT };
  const owned = new OwnedRecord(kind, ID, { epoch: 1, owner: 'a' }, lost);
  const write = (name: string) => owned.save(() => ({ fields: { [name]: 'x' } }));
  return { data, owned, write, lost };
}

test('writes under the earlier id wait for a claim whose reply is lost', async () => {
  const { owned, write, data, lost } = recordOfA(true);
  const claimed = owned.reclaim();
  expect(await Promise.all([write('one'), write('two')])).toEqual(['written', 'written']);
  await claimed;
  expect(data.read(ID)).toMatchObject({ epoch: 2, owner: 'b', fields: { one: 'x', two: 'x' } });
  expect(lost).not.toHaveBeenCalled();
});

test('a lost record stays lost, also when this instance claims it for other work', async () => {
  const { owned, write, data, lost } = recordOfA(false);
  data.claim(ID, { epoch: 1, owner: 'a' }, 'other');
  await owned.reclaim();
  expect(lost).toHaveBeenCalledOnce();
  owned.lose();
  data.claim(ID, { epoch: 2, owner: 'other' }, 'b');
  expect(await write('late')).toBe('fenced');
});
