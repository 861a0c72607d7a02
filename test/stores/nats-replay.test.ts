/** A replay from the messages of a log, without a server: which messages a server loses cannot be chosen. */
import { expect, test } from 'vitest';
import { LogState } from '../../src/stores/nats/log-state.ts';
import { emptyTail } from '../../src/stores/nats/reader.ts';
import { Replayer } from '../../src/stores/nats/replay.ts';
import type { ReplayOutcome } from '../../src/stores/store.ts';

test('a log whose end the server has lost has a gap there, not a hole', async () => {
  const replayer = new Replayer({ message: async () => undefined }, { ttlMs: 1_000, events: 10, bytes: 1_000 });
  const newest = {
    seq: 5,
    at: 0,
    birth: 'b',
    epoch: 1,
    owner: 'a',
    previous: [],
    ops: [{ s: 'p', f: 0, l: [3, 3] }],
    data: Buffer.from('"0""1"'),
  };
  /** `next`: the length of the stream, as the record has it. */
  const replay = (next: number, after: number): Promise<ReplayOutcome> => {
    const log = { ...emptyTail(), state: new LogState({ o: [['p', next, null]] }) };
    return replayer.replay({ id: 's', birth: 'b', stream: 'p', after, now: 0 }, log, newest);
  };
  expect(await replay(3, -1)).toEqual({ found: false, why: 'gap', first: 3 });
  expect(await replay(3, 2)).toEqual({ found: true, events: [], next: 3, complete: false });
  const events = [
    { offset: 0, data: '"0"' },
    { offset: 1, data: '"1"' },
  ];
  expect(await replay(2, -1)).toEqual({ found: true, events, next: 2, complete: false });
});
