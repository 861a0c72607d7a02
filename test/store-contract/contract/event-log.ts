import assert from 'node:assert/strict';
import type { LoggedEvent, ReplayOutcome, WriteOutcome } from '../../../src/stores/store.ts';
import { openStreams } from '../view.ts';
import { test } from './store-case.ts';
import { FENCE, ME, OTHER, recordOf, sortedBy, claimed, NEXT, ANEW, append, eventsOf } from './store-kit.ts';

const logged = (from: number, ...data: string[]): LoggedEvent[] =>
  data.map((text, n) => ({ offset: from + n, data: text }));

const UNKNOWN: ReplayOutcome = { found: false, why: 'unknown' };

const ODD_DATA = [
  '',
  '{}',
  '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"Größe 尺寸 🧪"}}',
  '"\\u0000\\ud800\\n"',
  JSON.stringify({ text: 'x'.repeat(65_536) }),
];

export const eventLogCases = [
  test('append/replay: what was appended is replayed in order, as often as it is asked for, from every view', async (kit) => {
    const [here, there] = await kit.openTwoWith(['s']);
    assert.equal(await append(here, 'p', 0, ['']), 'written');
    assert.equal(await append(here, 'p', 1, ['"one"', '"two"']), 'written');
    const all = { found: true, events: logged(0, '', '"one"', '"two"'), next: 3, complete: false };
    for (const view of [here, there, here]) assert.deepEqual(await view.records.replay('s', 'p', -1), all);
  }),
  test('append/data: data comes back as it was, a priming event as the empty text', async (kit) => {
    const view = await kit.openWith(['s']);
    await append(view, 'p', 0, ODD_DATA);
    assert.deepEqual(await eventsOf(view, 's', 'p'), logged(0, ...ODD_DATA));
  }),
  test('replay/after: a replay gives the events past an offset, and past the last one none', async (kit) => {
    const view = await kit.openWith(['s']);
    await append(view, 'p', 0, ['0', '1', '2', '3']);
    for (let after = -1; after < 4; after++) {
      const events = logged(0, '0', '1', '2', '3').slice(after + 1);
      assert.deepEqual(await view.records.replay('s', 'p', after), { found: true, events, next: 4, complete: false });
    }
  }),
  test('replay/unknown: a stream that never was is unknown: of this session, of another, of none', async (kit) => {
    const view = await kit.openWith(['s', 't']);
    await append(view, 'p', 0, ['1']);
    assert.deepEqual(await view.records.replay('s', 'q', -1), UNKNOWN);
    assert.deepEqual(await view.records.replay('t', 'p', -1), UNKNOWN);
    assert.deepEqual(await view.records.replay('never', 'p', -1), UNKNOWN);
  }),
  test('append/from: an append anywhere but at the end of its stream is refused and stores nothing', async (kit) => {
    const view = await kit.openWith(['s']);
    assert.equal(await append(view, 'p', 1, ['"ahead"']), 'fenced');
    assert.deepEqual(await view.records.replay('s', 'p', -1), UNKNOWN);
    await append(view, 'p', 0, ['0', '1']);
    for (const from of [0, 1, 3])
      assert.equal(await append(view, 'p', from, ['"elsewhere"']), 'fenced', `from ${from}`);
    assert.equal(await append(view, 'p', 2, ['2']), 'written');
    const events = logged(0, '0', '1', '2');
    assert.deepEqual(await view.records.replay('s', 'p', -1), { found: true, events, next: 3, complete: false });
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
  test('append/streams: streams of one session, and of several, are numbered and replayed apart', async (kit) => {
    const view = await kit.openWith(['s', 't']);
    await append(view, 'p', 0, ['"s.p.0"']);
    await append(view, 'g', 0, ['"s.g.0"', '"s.g.1"']);
    await append(view, 'p', 0, ['"t.p.0"'], { id: 't' });
    await append(view, 'p', 1, ['"s.p.1"']);
    assert.deepEqual(await eventsOf(view, 's', 'p'), logged(0, '"s.p.0"', '"s.p.1"'));
    assert.deepEqual(await eventsOf(view, 's', 'g'), logged(0, '"s.g.0"', '"s.g.1"'));
    assert.deepEqual(await eventsOf(view, 't', 'p'), logged(0, '"t.p.0"'));
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
  test('append/next-owner: the next owner continues where the stream is, and the log of the earlier one stays', async (kit) => {
    const [old, next] = await kit.openTwoWith(['s']);
    await append(old, 'p', 0, ['', '"old"']);
    await next.records.claim('s', FENCE, OTHER);
    assert.deepEqual(await openStreams(next, 's'), [{ stream: 'p', next: 2, note: null }]);
    assert.equal(await append(next, 'p', 0, ['"again"'], { fence: NEXT }), 'fenced');
    assert.equal(await append(next, 'p', 2, ['"new"'], { fence: NEXT, complete: true }), 'written');
    const events = logged(0, '', '"old"', '"new"');
    assert.deepEqual(await old.records.replay('s', 'p', -1), { found: true, events, next: 3, complete: true });
  }),
  test('complete/ends: a stream is complete with the append that says so, with events or without, and takes no more', async (kit) => {
    const view = await kit.openWith(['s']);
    await append(view, 'with', 0, ['', '"result"'], { complete: true });
    await append(view, 'without', 0, ['']);
    await append(view, 'without', 1, [], { complete: true });
    const done = { found: true, complete: true } as const;
    assert.deepEqual(await view.records.replay('s', 'with', 0), { ...done, events: logged(1, '"result"'), next: 2 });
    assert.deepEqual(await view.records.replay('s', 'without', -1), { ...done, events: logged(0, ''), next: 1 });
    assert.equal(await append(view, 'with', 2, ['"more"']), 'fenced');
    assert.equal(await append(view, 'without', 1, [], { complete: true }), 'fenced');
    const { found } = await view.records.replay('s', 'with', 1);
    assert.equal(found, true);
  }),
  test('open/streams: open streams are those that are not complete, each with its length', async (kit) => {
    const view = await kit.openWith(['s', 't']);
    assert.deepEqual(await openStreams(view, 's'), []);
    await append(view, 'g', 0, ['', '1', '2']);
    await append(view, 'p1', 0, ['']);
    await append(view, 'p2', 0, [''], { complete: true });
    await append(view, 'p1', 1, ['3']);
    const open = sortedBy('stream', await openStreams(view, 's'));
    assert.deepEqual(open, [
      { stream: 'g', next: 3, note: null },
      { stream: 'p1', next: 2, note: null },
    ]);
    assert.deepEqual(await openStreams(view, 't'), []);
    assert.deepEqual(await openStreams(view, 'never'), []);
  }),
  test('open/requests: every later owner gets the requests of an open stream as its first append gave them, until it is complete', async (kit) => {
    const [old, next] = await kit.openTwoWith(['s']);
    const note = '[{"id":1,"method":"tools/call","name":"größe 🧪"}]';
    await append(old, 'p', 0, [''], { note });
    await append(old, 'p', 1, ['"progress"']);
    await append(old, 'q', 0, ['']);
    await next.records.claim('s', FENCE, OTHER);
    const open = sortedBy('stream', await openStreams(next, 's'));
    assert.deepEqual(open, [
      { stream: 'p', next: 2, note },
      { stream: 'q', next: 1, note: null },
    ]);
    await append(next, 'p', 2, ['"owner_lost"'], { fence: NEXT, complete: true });
    assert.deepEqual(await openStreams(next, 's'), [{ stream: 'q', next: 1, note: null }]);
  }),
  test('append/mark: an append writes its marker, and removes one, in the same step', async (kit) => {
    const view = await kit.openWith(['s']);
    const markers = async (epoch: number) => {
      const claim = claimed(await view.records.claim('s', { epoch, owner: ME }, ME));
      return sortedBy('stream', claim.marks);
    };
    const [one, two] = [
      { name: '1', stream: 'p1' },
      { name: '1', stream: 'p2' },
    ];
    for (const mark of [one, two]) assert.equal(await append(view, mark.stream, 0, [''], { mark }), 'written');
    assert.deepEqual(await markers(1), [one, two]);
    const last = { fence: ANEW, complete: true, unmark: one };
    assert.equal(await append(view, 'p1', 1, ['"result"'], last), 'written');
    assert.deepEqual(await markers(2), [two]);
  }),
  test('append/mark-refused: an append that is refused writes no marker and removes none', async (kit) => {
    const view = await kit.openWith(['s']);
    const kept = { name: '1', stream: 'p' };
    const mark = { name: '2', stream: 'p' };
    await append(view, 'p', 0, [''], { mark: kept });
    const stale = { epoch: 0, owner: ME };
    assert.equal(await append(view, 'p', 1, [''], { mark, unmark: kept, fence: stale }), 'fenced');
    assert.equal(await append(view, 'p', 0, [''], { mark, unmark: kept }), 'fenced');
    assert.equal(await append(view, 'q', 1, [''], { mark: { name: '2', stream: 'q' } }), 'fenced');
    assert.deepEqual(claimed(await view.records.claim('s', FENCE, ME)).marks, [kept]);
  }),
];
