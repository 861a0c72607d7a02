import assert from 'node:assert/strict';
import type { EventRetention } from '../../../src/types.ts';
import type { ReplayOutcome } from '../../../src/stores/store.ts';
import { openStreams, type View } from '../view.ts';
import { PAST_SHORT_MS, SHORT_MS, test, timedTest, needing } from './store-case.ts';
import { append, recordOf } from './store-kit.ts';

const MUCH: EventRetention = { ttlMs: 600_000, events: 1_000, bytes: 1_048_576 };
const gap = (first: number): ReplayOutcome => ({ found: false, why: 'gap', first });

/** Ten bytes each. */
const event = (n: number): string => `"event ${n}"`.padEnd(10);

async function appendEvents(view: View, stream: string, from: number, count: number, id = 's'): Promise<void> {
  for (let n = from; n < from + count; n++) {
    assert.equal(await append(view, stream, n, [event(n)], { id }), 'written');
  }
}

/** The offsets that a replay gives, or the reason why it gives none. */
async function replayed(view: View, stream: string, after: number, id = 's'): Promise<number[] | string> {
  const outcome = await view.records.replay(id, stream, after);
  return outcome.found ? outcome.events.map(({ offset }) => offset) : outcome.why;
}

export const retentionCases = [
  test('retention/events: past the number of events a session keeps its newest; a gap is reported exactly, with its end', async (kit) => {
    const view = await kit.openWith(['s'], { log: { ...MUCH, events: 5 } });
    await appendEvents(view, 'p', 0, 5);
    assert.deepEqual(await replayed(view, 'p', -1), [0, 1, 2, 3, 4]);
    await appendEvents(view, 'p', 5, 3);
    for (const after of [-1, 0, 1])
      assert.deepEqual(await view.records.replay('s', 'p', after), gap(3), `after ${after}`);
    assert.deepEqual(await replayed(view, 'p', 2), [3, 4, 5, 6, 7]);
    assert.deepEqual(await replayed(view, 'p', 7), []);
  }),
  test('retention/one-append: an append of more events than are kept keeps its last', async (kit) => {
    const view = await kit.openWith(['s'], { log: { ...MUCH, events: 3 } });
    assert.equal(await append(view, 'p', 0, [0, 1, 2, 3, 4].map(event)), 'written');
    assert.deepEqual(await replayed(view, 'p', 0), 'gap');
    assert.deepEqual(await replayed(view, 'p', 1), [2, 3, 4]);
  }),
  test('retention/streams: retention counts all streams of a session together, and each session for itself', async (kit) => {
    const view = await kit.openWith(['s', 't'], { log: { ...MUCH, events: 5 } });
    await appendEvents(view, 'p', 0, 3, 't');
    await appendEvents(view, 'p', 0, 3);
    await appendEvents(view, 'q', 0, 4);
    assert.equal(await replayed(view, 'p', 0), 'gap');
    assert.deepEqual(await replayed(view, 'p', 1), [2]);
    assert.deepEqual(await replayed(view, 'q', -1), [0, 1, 2, 3]);
    assert.deepEqual(await replayed(view, 'p', -1, 't'), [0, 1, 2]);
  }),
  test('retention/bytes: an event is dropped once as many bytes came after it as a session keeps', async (kit) => {
    const view = await kit.openWith(['s'], { log: { ...MUCH, bytes: 30 } });
    await appendEvents(view, 'p', 0, 3);
    assert.deepEqual(await replayed(view, 'p', -1), [0, 1, 2]);
    await appendEvents(view, 'p', 3, 2);
    assert.equal(await replayed(view, 'p', 0), 'gap');
    assert.deepEqual(await replayed(view, 'p', 1), [2, 3, 4]);
  }),
  test('retention/too-large: an event larger than all that is kept stays until as much came after it', async (kit) => {
    const view = await kit.openWith(['s'], { log: { ...MUCH, bytes: 35 } });
    await appendEvents(view, 'p', 0, 1);
    const events = [JSON.stringify('x'.repeat(100))];
    assert.equal(await append(view, 'p', 1, events), 'written');
    assert.deepEqual(await view.records.replay('s', 'p', -1), gap(1));
    assert.deepEqual(await replayed(view, 'p', 0), [1]);
    await appendEvents(view, 'q', 0, 3);
    assert.deepEqual(await replayed(view, 'p', 0), [1]);
    await appendEvents(view, 'q', 3, 1);
    // Nothing is kept of the stream: its reader continues from its length.
    assert.deepEqual(await view.records.replay('s', 'p', 0), gap(2));
    await appendEvents(view, 'p', 2, 1);
    assert.deepEqual(await replayed(view, 'p', 1), [2]);
    const open = (await openStreams(view, 's')).find(({ stream }) => stream === 'p');
    assert.deepEqual(open, { stream: 'p', next: 3, note: null });
  }),
  timedTest('retention/ttl: an event older than ttlMs is a gap; its stream stays open at its length', async (kit) => {
    const view = await kit.openWith(['s'], { log: { ...MUCH, ttlMs: SHORT_MS } });
    await appendEvents(view, 'p', 0, 2);
    assert.deepEqual(await replayed(view, 'p', -1), [0, 1]);
    await kit.pass(PAST_SHORT_MS);
    assert.equal(await replayed(view, 'p', -1), 'gap');
    assert.equal(await replayed(view, 'p', 0), 'gap');
    assert.deepEqual(await view.records.replay('s', 'p', 1), { found: true, events: [], next: 2, complete: false });
    assert.deepEqual(await openStreams(view, 's'), [{ stream: 'p', next: 2, note: null }]);
    await appendEvents(view, 'p', 2, 1);
    assert.deepEqual(await view.records.replay('s', 'p', 0), gap(2));
    assert.deepEqual(await replayed(view, 'p', 1), [2]);
  }),
  test('retention/complete: a complete stream whose events are all dropped is found no more', async (kit) => {
    const view = await kit.openWith(['s'], { log: { ...MUCH, events: 2 } });
    await append(view, 'p', 0, ['1'], { complete: true });
    assert.deepEqual(await replayed(view, 'p', -1), [0]);
    await appendEvents(view, 'q', 0, 2);
    assert.equal((await view.records.replay('s', 'p', -1)).found, false);
  }),
  timedTest('trim/keeps: a trim drops what is too old and nothing else', async (kit) => {
    const view = await kit.openWith(['s', 't'], { log: { ...MUCH, ttlMs: SHORT_MS } });
    await appendEvents(view, 'p', 0, 2, 's');
    await kit.pass(PAST_SHORT_MS);
    await appendEvents(view, 'p', 0, 2, 't');
    await view.records.trim();
    assert.equal(await replayed(view, 'p', -1, 's'), 'gap');
    assert.deepEqual(await replayed(view, 'p', -1, 't'), [0, 1]);
    assert.deepEqual(await openStreams(view, 's'), [{ stream: 'p', next: 2, note: null }]);
  }),
  ...needing('process-limits', [
    test('retention/process: past eventLogBytes the session written longest ago gives its oldest events first', async (kit) => {
      const view = await kit.open({ eventLogBytes: 40_000 });
      const kilobytes = (n: number): string[] => [JSON.stringify('x'.repeat(n * 1_000))];
      const log = async (id: string, from: number, n: number): Promise<unknown> =>
        append(view, 'p', from, kilobytes(n), { id });
      for (const id of ['a', 'b', 'c']) await view.records.create(recordOf(id));
      await log('a', 0, 8);
      await log('a', 1, 8);
      await log('b', 0, 8);
      await log('c', 0, 8);
      for (const id of ['a', 'b', 'c']) assert.notEqual(await replayed(view, 'p', -1, id), 'gap', id);
      await log('a', 2, 8); // a is now the newest: b loses its events first
      assert.equal(await replayed(view, 'p', -1, 'b'), 'gap');
      assert.deepEqual(await replayed(view, 'p', -1, 'a'), [0, 1, 2]);
      await log('c', 1, 16); // a is the oldest, and loses only as much as needed
      assert.equal(await replayed(view, 'p', -1, 'a'), 'gap');
      assert.deepEqual(await replayed(view, 'p', 1, 'a'), [2]);
      assert.deepEqual(await replayed(view, 'p', -1, 'c'), [0, 1]);
    }),
  ]),
];
