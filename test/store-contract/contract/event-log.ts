import assert from 'node:assert/strict';
import type { LoggedEvent, WriteOutcome } from '../../../src/stores/store.ts';
import { test } from './store-case.ts';
import { recordOf, append, eventsOf } from './store-kit.ts';

const logged = (from: number, ...data: string[]): LoggedEvent[] =>
  data.map((text, n) => ({ offset: from + n, data: text }));

const ODD_DATA = [
  '',
  '{}',
  '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"Größe 尺寸 🧪"}}',
  '"\\u0000\\ud800\\n"',
  JSON.stringify({ text: 'x'.repeat(65_536) }),
];

export const eventLogCases = [
  test('append/data: data comes back as it was, a priming event as the empty text', async (kit) => {
    const view = await kit.openWith(['s']);
    await append(view, 'p', 0, ODD_DATA);
    assert.deepEqual(await eventsOf(view, 's', 'p'), logged(0, ...ODD_DATA));
  }),
  test('append/turn: appends of one turn, more than travel together, are stored in order', async (kit) => {
    const TURN = 400;
    const view = await kit.openWith(['s', 't']);
    const writes: Array<Promise<WriteOutcome>> = [];
    for (let n = 0; n < TURN; n++) {
      for (const stream of ['p', 'q']) writes.push(append(view, stream, n, [`"${stream}${n}"`]));
      writes.push(append(view, 'p', n, [`"t${n}"`], { id: 't' }));
    }
    assert.deepEqual(new Set(await Promise.all(writes)), new Set(['written']));
    const texts = (prefix: string): LoggedEvent[] =>
      logged(0, ...Array.from({ length: TURN }, (_, n) => `"${prefix}${n}"`));
    for (const [session, stream, prefix] of [
      ['s', 'p', 'p'],
      ['s', 'q', 'q'],
      ['t', 'p', 't'],
    ] as const)
      assert.deepEqual(await eventsOf(view, session, stream), texts(prefix));
  }),
  test('append/beside-refused: a refused append of another fence does not disturb those of the owner in its turn', async (kit) => {
    const view = await kit.openWith(['s']);
    await append(view, 'p', 0, ['"0"']);
    await view.records.replay('s', 'p', -1);
    const writes = [1, 2, 3].flatMap((n) => [
      append(view, 'p', n, [`"${n}"`]),
      append(view, 'q', 0, ['"q"'], { fence: { epoch: 7, owner: 'other' } }),
    ]);
    assert.deepEqual(
      await Promise.all(writes),
      [1, 2, 3].flatMap(() => ['written', 'fenced']),
    );
    assert.deepEqual(await eventsOf(view, 's', 'p'), logged(0, '"0"', '"1"', '"2"', '"3"'));
  }),
  test('append/close: writes that were requested before the view closes are stored', async (kit) => {
    const view = await kit.openWith(['s']);
    const writes = Array.from({ length: 600 }, async (_, n) => append(view, 'p', n, [`"${n}"`]));
    await view.close();
    assert.deepEqual(new Set(await Promise.all(writes)), new Set(['written']));
  }),
  test('append/odd-names: sessions and streams whose joined names are equal keep their logs apart', async (kit) => {
    const view = await kit.open();
    const places = [
      ['a', 'b:c'],
      ['a:b', 'c'],
      ['a:b:c', ''],
      ['__proto__', 'p'],
      ['a*', 'p'],
      ['a', '__proto__'],
    ] as const;
    for (const id of new Set(places.map(([session]) => session))) await view.records.create(recordOf(id));
    for (const [id, stream] of places) {
      const data = JSON.stringify([id, stream]);
      assert.equal(await append(view, stream, 0, [data], { id }), 'written', data);
    }
    for (const [id, stream] of places)
      assert.deepEqual(await eventsOf(view, id, stream), logged(0, JSON.stringify([id, stream])));
  }),
];
