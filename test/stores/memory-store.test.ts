import { describe, expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import type { InstanceMessage } from '../../src/stores/store.ts';
import { dueNow } from './contract/view.ts';
import { VIEW_DEFAULTS } from './contract/store-kit.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';
import { ALL_CALLS } from './outages.ts';
import { FENCE, ME, openView, recordOf, storeOptions } from './views.ts';

describe('the memory store', () => {
  test('ends no session when the date of the machine is corrected by hours', async () => {
    const fake = createFakeTime();
    let stepMs = 0;
    const view = await openView(memory(), { time: { ...fake, now: () => fake.now() + stepMs } });
    await view.records.create(recordOf('s'), 60_000);
    for (stepMs of [7_200_000, -7_200_000]) {
      expect(await view.records.read('s')).toMatchObject({ id: 's' });
      expect(await view.records.save('s', FENCE, { expiresInMs: 60_000 })).toBe('written');
      expect(await dueNow(view, 10)).toEqual([]);
    }
    await fake.advance(60_001);
    expect(await view.records.read('s')).toMatchObject({ outcome: '' });
    await view.close();
  });

  test('trims logs and passes over records by the ten thousand, where all grow old or expire together', async () => {
    const [time, count] = [createFakeTime(), 20_000];
    const { records } = await openView(memory(), {
      time,
      log: { maxAgeMs: 1_000, events: 100, bytes: 100_000 },
    });
    for (let n = 0; n < count; n++) {
      await records.create(recordOf(`s${n}`));
      await records.append({
        id: `s${n}`,
        fence: FENCE,
        stream: 'p',
        from: 0,
        events: ['1'],
        complete: true,
      });
    }
    await time.advance(1_001);
    expect(await records.trim()).toBeUndefined();
    for (const n of [0, count - 1])
      expect(await records.replay(`s${n}`, 'p', -1)).toMatchObject({ found: false });
    for (let n = 0; n < count; n++) await records.save(`s${n}`, FENCE, { expiresInMs: 1 });
    await time.advance(1);
    expect(await records.list(1)).toEqual({ records: [] });
    for (let n = 0; n < count; n++) await records.end(`s${n}`, FENCE, '');
    await time.advance(VIEW_DEFAULTS.keepMs);
    expect(await records.due(1)).toEqual({ records: [] });
  });

  test('answers for one record, reads of a lease and messages without a promise', async () => {
    const view = await openView(memory());
    const { records, instances } = view;
    expect(memory().open({ ...storeOptions(), kinds: [] })).not.toBeInstanceOf(Promise);
    await instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    const waiting = ['leases', 'renew', 'publish', 'list', 'due', 'replay'];
    const atOnce = Object.entries(ALL_CALLS).filter(([name]) => !waiting.includes(name));
    const answers: unknown[] = [
      ...['s', 'released', 'ended'].map((id) => records.create(recordOf(id))),
      ...atOnce.map(([, ask]) => ask(view)),
      records.add('s', 'answer', 'yes'),
    ];
    expect(answers.filter((answer) => answer instanceof Promise)).toEqual([]);
    await view.close();
  });

  test('keeps all data until its last endpoint of any name closes, then drops all, and shares nothing with another store', async () => {
    const store = memory();
    const first = await openView(store);
    const otherName = await openView(store, { deployment: 'other' });
    await first.records.create(recordOf('s'));
    const secret = await first.secret('one');
    expect(await (await openView(memory())).records.read('s')).toBeUndefined();
    await first.close();

    const second = await openView(store);
    expect(await second.records.read('s')).toEqual(recordOf('s'));
    expect(await second.secret('one')).toEqual(secret);
    await second.close();
    await otherName.close();

    const third = await openView(store);
    expect(await third.records.read('s')).toBeUndefined();
    expect(await third.secret('one')).not.toEqual(secret);
    await first.close(); // again, late
    expect(await (await openView(store)).secret('one')).toEqual(await third.secret('one'));
  });

  test('takes eventLogBytes from the first endpoint, and anew after all have closed', async () => {
    const store = memory();
    const keeps = async (eventLogBytes: number): Promise<boolean> => {
      const view = await openView(store, { eventLogBytes });
      await view.records.create(recordOf('s'));
      await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
      const { found } = await view.records.replay('s', 'p', -1);
      await view.close();
      return found;
    };
    expect([await keeps(100), await keeps(10_000), await keeps(100)]).toEqual([false, true, false]);
  });

  test.each([
    { what: 'forgets the sessions that ended first', kept: [false, false, true, true, true] },
    {
      what: 'forgets no record of a kind that evicts none',
      evicts: false,
      kept: Array(5).fill(true),
    },
  ] as const)('past the limit of its tombstones it $what', async ({ kept, ...kind }) => {
    const { records } = await openView(memory(), { tombstones: 3, eventLogBytes: 1, ...kind });
    const ids = ['a', 'b', 'c', 'd', 'e'];
    for (const id of ids) {
      await records.create(recordOf(id));
      await records.append({ id, fence: FENCE, stream: 's', from: 0, events: ['1'] });
      const { found } = await records.replay(id, 's', -1);
      expect(found).toBe('evicts' in kind);
      await records.end(id, FENCE, 'deleted');
    }
    const found = await Promise.all(ids.map(async (id) => (await records.read(id)) !== undefined));
    expect(found).toEqual(kept);
  });

  test('a cursor that list() did not give is refused', async () => {
    const { records } = await openView(memory());
    for (const cursor of [' ', 'a b', 'ä', 'x\n'])
      await expect(records.list(10, cursor), cursor).rejects.toThrow(/Option cursor/);
  });
});

describe('messages in one process', () => {
  test('are passed by reference and delivered after the call that sends them', async () => {
    const { instances } = await openView(memory());
    const received: InstanceMessage[] = [];
    await instances.announce({ id: 'me', state: 'serving', version: '1' }, (_, message) =>
      received.push(message),
    );
    const message = { kind: 'call', body: () => 'a function passes, too' };
    expect(instances.send('me', 'me', message)).toBe('sent');
    expect(received).toEqual([]);
    await until(() => received.length === 1);
    expect(received[0]).toBe(message);
  });

  test('that a receiver throws on are logged, and the next message is delivered', async () => {
    const logger = createLog();
    const { instances } = await openView(memory(), { logger });
    const received: unknown[] = [];
    await instances.announce({ id: 'me', state: 'serving', version: '1' }, (_, { n }) => {
      if (n === 1) throw new Error('cannot take it');
      received.push(n);
    });
    for (const n of [1, 2]) void instances.send('me', 'me', { kind: 'n', n });
    await until(() => received.length === 1);
    expect(received).toEqual([2]);
    expect(logger.lines).toMatchObject([
      { level: 'error', fields: { instance: 'me', kind: 'n', err: { message: 'cannot take it' } } },
    ]);
  });
});
