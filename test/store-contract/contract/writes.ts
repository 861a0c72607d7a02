/** Every write of an owner, so that one case can test all of them. */
import type { Fence, MaybePromise, Records } from '../../../src/stores/store.ts';
import type { View } from '../view.ts';

type Write = (records: Records, id: string, fence: Fence) => MaybePromise<string>;

const WRITES: Readonly<Record<string, Write>> = {
  save: (records, id, fence) => records.save(id, fence, { head: 'debug', fields: { intruder: '1' } }),
  release: (records, id, fence) => records.save(id, fence, { release: true, head: 'debug' }),
  mark: (records, id, fence) => records.append({ id, fence, stream: null, mark: { name: '1', stream: 'intruder' } }),
  end: (records, id, fence) => records.end(id, fence, 'deleted'),
  append: (records, id, fence) => records.append({ id, fence, stream: 'intruder', from: 0, events: ['{}'] }),
};

export const OWNER_WRITES = Object.entries(WRITES).map(([name, write]) => ({
  name,
  run: async ({ records }: View, id: string, fence: Fence): Promise<string> => write(records, id, fence),
  /** The answer for a record that is missing or ended. */
  onNothing: name === 'end' ? 'gone' : 'fenced',
}));

export type OwnerWrite = (typeof OWNER_WRITES)[number];
