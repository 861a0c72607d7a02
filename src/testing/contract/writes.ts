/** Every write of an owner, so that one case can test all of them. */
import type { Fence } from '../../stores/store.ts';
import type { View } from '../view.ts';

export interface OwnerWrite {
  readonly name: string;
  run(view: View, id: string, fence: Fence): Promise<string>;
  /** The answer for a record that is missing or ended. */
  readonly onNothing: string;
}

export const OWNER_WRITES: readonly OwnerWrite[] = [
  {
    name: 'save',
    run: async (view, id, fence) => view.records.save(id, fence, { head: 'debug', fields: { intruder: '1' } }),
    onNothing: 'fenced',
  },
  {
    name: 'release',
    run: async (view, id, fence) => view.records.release(id, fence, { head: 'debug' }),
    onNothing: 'fenced',
  },
  {
    name: 'mark',
    run: async (view, id, fence) => view.records.mark(id, fence, { name: '1', stream: 'intruder' }),
    onNothing: 'fenced',
  },
  {
    name: 'end',
    run: async (view, id, fence) => view.records.end(id, fence, 'deleted'),
    onNothing: 'gone',
  },
  {
    name: 'append',
    run: async (view, id, fence) => view.records.append({ id: id, fence, stream: 'intruder', from: 0, events: ['{}'] }),
    onNothing: 'fenced',
  },
];
