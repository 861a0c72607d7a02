/** Every write of an owner, so that one case can test all of them. */
import type { Fence, OpenStore } from '../../stores/store.ts';

export interface OwnerWrite {
  readonly name: string;
  run(view: OpenStore, id: string, fence: Fence): Promise<string>;
  /** The answer for a record that is missing or ended. */
  readonly onNothing: string;
}

export const OWNER_WRITES: readonly OwnerWrite[] = [
  {
    name: 'save',
    run: async (view, id, fence) => view.sessions.save(id, fence, { head: 'debug', fields: { intruder: '1' } }),
    onNothing: 'fenced',
  },
  {
    name: 'release',
    run: async (view, id, fence) => view.sessions.release(id, fence, { head: 'debug' }),
    onNothing: 'fenced',
  },
  {
    name: 'mark',
    run: async (view, id, fence) => view.sessions.mark(id, fence, { request: '1', stream: 'intruder' }),
    onNothing: 'fenced',
  },
  {
    name: 'end',
    run: async (view, id, fence) => view.sessions.end(id, fence, 'deleted'),
    onNothing: 'gone',
  },
  {
    name: 'append',
    run: async (view, id, fence) =>
      view.events.append({ sessionId: id, fence, stream: 'intruder', from: 0, events: ['{}'] }),
    onNothing: 'fenced',
  },
];
