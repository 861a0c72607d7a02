/** What waits for the store: in which appends it goes, and what becomes of it when an append fails or is refused. */
import { describe, expect, test } from 'vitest';
import { AppendQueue, type QueuedStream } from '../../../src/session/streams/append-queue.ts';
import type { AppendExtra, SessionEventLog } from '../../../src/session/streams/event-log.ts';
import type { ReplayOutcome, WriteOutcome } from '../../../src/stores/store.ts';
import { createFakeTime } from '../../../src/testing/index.ts';

const WAIT_MS = 1_000;
/** Longer than any pause between two tries. */
const PAUSE_MS = 300;

interface Append {
  readonly from: number;
  readonly events: readonly string[];
  readonly complete: boolean;
  readonly extra: unknown;
  settle(outcome: WriteOutcome): Promise<void>;
  fail(): Promise<void>;
}

/** Lets what follows a settled append run. */
const soon = (): Promise<void> => new Promise((done) => setImmediate(done));

/** A queue whose store answers when the test says so. `told`: what its stream learns, in order. */
function queueOf({
  budget = Infinity,
  claimed = false,
  kept,
}: { budget?: number; claimed?: boolean; kept?: ReplayOutcome } = {}) {
  const time = createFakeTime();
  const appends: Append[] = [];
  const told: unknown[] = [];
  const state = { held: 0, room: undefined as Promise<void> | undefined, left: false, next: 0 };
  const ownership = {
    epoch: 1,
    get left() {
      return state.left;
    },
    claimedSince: async () => claimed,
    fenced: () => told.push('session fenced'),
  };
  const log = {
    options: { timeProvider: time, waitMs: WAIT_MS },
    ownership,
    append: (_: string, from: number, events: readonly string[], complete: boolean, extra: unknown) =>
      new Promise<WriteOutcome>((resolve, reject) => {
        const settle = (outcome: WriteOutcome): Promise<void> => (resolve(outcome), soon());
        const fail = (): Promise<void> => (reject(new Error('away')), soon());
        appends.push({ from, events, complete, extra, settle, fail });
      }),
    replay: async () => kept ?? { found: false, why: 'unknown' },
    hold: (bytes: number) => state.held + bytes <= budget && ((state.held += bytes), true),
    release: (bytes: number) => (state.held -= bytes),
    failed: () => told.push('logged'),
  };
  const stream: QueuedStream = {
    key: 's',
    get next() {
      return state.next;
    },
    room: () => state.room,
    stored: (json, last) => {
      if (json !== undefined) state.next += 1;
      told.push(last ? `${json}, complete` : json);
    },
    noteDelay: () => told.push('delayed'),
    storingFailed: (answered, why) => told.push({ lost: why, answered }),
  };
  const queue = new AppendQueue(stream, log as unknown as SessionEventLog);
  const add = (json: string, last = false, extra?: AppendExtra): void => queue.add(json, last, extra, undefined);
  return { queue, add, appends, told, time, state, eventsOf: () => appends.map(({ events }) => events.join()) };
}

describe('appends', () => {
  test('are one at a time; what arrives during one goes together into the next, from the next offset', async () => {
    const { add, appends, told, state } = queueOf();
    for (const json of ['a', 'b', 'c']) add(json);
    expect(state.held).toBeGreaterThan(0);
    expect(appends).toMatchObject([{ from: 0, events: ['a'] }]);
    expect(told).toEqual([]);
    await appends[0]?.settle('written');
    expect(told).toEqual(['a']);
    expect(appends[1]).toMatchObject({ from: 1, events: ['b', 'c'], complete: false });
    await appends[1]?.settle('written');
    expect([told, state.held]).toEqual([['a', 'b', 'c'], 0]);
    expect(appends).toHaveLength(2);
  });

  test('of a stream that gathers carry the whole turn, at its end or with the answer', async () => {
    for (const answered of [false, true]) {
      const { queue, add, appends } = queueOf();
      const results: string[] = [];
      queue.gather({}, (result) => results.push(result));
      add('a');
      expect([appends.length, queue.isAhead]).toEqual([0, true]);
      if (answered) add('b', true);
      else queue.endTurn();
      expect(appends).toMatchObject([{ events: ['', 'a', ...(answered ? ['b'] : [])], complete: answered }]);
      await appends[0]?.settle('written');
      expect([results, queue.isAhead]).toEqual([['written'], false]);
    }
  });

  test('begin with an event that has a mark, and end with an event that removes a mark', async () => {
    const { add, appends, eventsOf } = queueOf();
    const mark = { name: 'm', stream: 's' };
    add('first');
    add('a');
    add('b', false, { mark });
    add('c', false, { unmark: 'm' } as unknown as AppendExtra);
    add('d');
    for (let n = 0; n < 4; n++) await appends[n]?.settle('written');
    expect(eventsOf()).toEqual(['first', 'a', 'b,c', 'd']);
    expect(appends[2]?.extra).toMatchObject({ mark, unmark: 'm' });
  });

  test('wait for the link to a sink that is full', async () => {
    const { add, appends, state } = queueOf();
    let free: () => void = () => {};
    state.room = new Promise<void>((resolve) => (free = resolve));
    add('a');
    expect(appends).toEqual([]);
    state.room = undefined;
    free();
    await soon();
    expect(appends).toMatchObject([{ events: ['a'] }]);
  });

  test('are over when the queue calls back as empty', async () => {
    const { queue, add, appends, told } = queueOf();
    add('a');
    queue.whenEmpty(() => told.push('empty'));
    expect(told).toEqual([]);
    await appends[0]?.settle('written');
    expect(told).toEqual(['a', 'empty']);
    expect(queue.busy).toBe(false);
  });
});

describe('an append that fails', () => {
  test('is tried again with the same events at the same offset, and is logged once', async () => {
    const { add, appends, told, time } = queueOf();
    add('a');
    add('b');
    for (let n = 0; n < 3; n++) {
      await appends[n]?.fail();
      await time.advance(PAUSE_MS);
    }
    await appends[3]?.settle('written');
    expect(appends.slice(0, 4)).toMatchObject(Array(4).fill({ from: 0, events: ['a'] }));
    expect(appends[4]).toMatchObject({ from: 1, events: ['b'] });
    expect(told).toEqual(['logged', 'delayed', 'a']);
  });

  test('is tried for as long as the session is here, and only as long as `waitMs` where it opens the stream', async () => {
    for (const opens of [false, true]) {
      const { queue, add, appends, told, time, state } = queueOf();
      if (opens) queue.open();
      add('a', true);
      for (let n = 0; n < 2 * (WAIT_MS / PAUSE_MS); n++) {
        await appends.at(-1)?.fail();
        await time.advance(PAUSE_MS);
      }
      expect(queue.outcome).toBe(opens ? 'failed' : undefined);
      state.left = true;
      await appends.at(-1)?.fail();
      await time.advance(PAUSE_MS);
      expect([queue.outcome, told.at(-1), state.held]).toEqual(['failed', { lost: 'failed', answered: true }, 0]);
    }
  });

  test('and is then refused was stored if the log has its events, and else lost', async () => {
    const events = [{ offset: 0, data: 'a' }];
    const stored = { found: true, events, next: 1, complete: false } as unknown as ReplayOutcome;
    const other = {
      found: true,
      events: [{ offset: 0, data: 'x' }],
      next: 1,
      complete: false,
    } as unknown as ReplayOutcome;
    for (const [kept, over] of [
      [stored, undefined],
      [other, 'fenced'],
    ] as const) {
      const { queue, add, appends, told, time } = queueOf({ kept });
      add('a');
      await appends[0]?.fail();
      await time.advance(PAUSE_MS);
      await appends[1]?.settle('fenced');
      expect(queue.outcome).toBe(over);
      expect(told.includes('a')).toBe(over === undefined);
    }
  });
});

describe('an append that is refused', () => {
  test('is the end where another instance owns the session: what waits is lost, and later events too', async () => {
    const { queue, add, appends, told, state } = queueOf();
    const results: string[] = [];
    add('a');
    queue.add('b', true, undefined, undefined, (result) => results.push(result));
    expect(state.held).toBeGreaterThan(0);
    await appends[0]?.settle('fenced');
    expect(told).toEqual(['session fenced', { lost: 'fenced', answered: true }]);
    expect([queue.outcome, queue.busy, results, state.held]).toEqual(['fenced', false, ['fenced'], 0]);
    add('c', true);
    expect(told.at(-1)).toEqual({ lost: 'fenced', answered: true });
    expect(appends).toHaveLength(1);
  });

  test('is sent again under the next claim of this instance', async () => {
    const { queue, add, appends, told } = queueOf({ claimed: true });
    add('a');
    await appends[0]?.settle('fenced');
    expect(appends).toMatchObject([{ events: ['a'] }, { events: ['a'] }]);
    await appends[1]?.settle('written');
    expect([told, queue.outcome]).toEqual([['a'], undefined]);
  });
});

test('a stream fails when the memory has no room for another event, and gives all back', async () => {
  const { queue, add, appends, told, state } = queueOf({ budget: 100 });
  add('a');
  add('x'.repeat(100), true);
  expect([queue.outcome, told, state.held]).toEqual(['failed', [{ lost: 'failed', answered: true }], 0]);
  await appends[0]?.settle('written');
  expect([told.length, state.held]).toEqual([1, 0]);
});
