/** Claims and late writes: a session's log and its record are two places, and nothing may get in between. */
import { expect, onTestFinished, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { AppendRequest } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { openStreams, type View } from '../../src/testing/view.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { HeldBack } from './nats-held.ts';
import { connectTo, FENCE, newPrefix, openView, OTHER, OWNERLESS, recordOf, storeOptions } from './nats-views.ts';
import { openPlain } from './views.ts';

/** For so long the store waits for an answer. */
const LIMIT_MS = 2_000;
const NEXT = { epoch: 2, owner: OTHER };

describeWithServer('nats', 'a claim in NATS', (server) => {
  /** Two processes on one deployment; what the first one sends can be held back. */
  async function twoViews() {
    const prefix = newPrefix();
    const held = new HeldBack(await connectTo(server().url));
    const time = createFakeTime();
    const here = await openPlain(nats(held.connection, { prefix }), storeOptions({ time }));
    onTestFinished(() => here.close());
    const there = await openView(nats(server().url, { prefix }));
    const log = `${prefix}.log.`;
    const records = `$KV.${prefix}_records.`;
    /** The first process waits in vain for the answer to what is held back. */
    const givenUp = async (asked: unknown): Promise<void> => {
      const failed = expect(asked).rejects.toMatchObject({ code: 'STORE_AWAY' });
      await held.caught();
      await time.advance(LIMIT_MS);
      await failed;
    };
    return { held, here, there, log, records, givenUp };
  }

  const append = (view: View, from: number, data: string, more: Partial<AppendRequest> = {}) =>
    view.records.append({ id: 's', fence: FENCE, stream: 'p', from, events: [data], ...more });

  async function logged(view: View): Promise<string[]> {
    const outcome = await view.records.replay('s', 'p', -1);
    return outcome.found ? outcome.events.map(({ data }) => data) : [];
  }

  test('paused before its commit refuses the late append of the old owner, which finds that it is none', async () => {
    const { held, here, there, records } = await twoViews();
    await there.records.create(recordOf('s'));
    expect(await append(there, 0, '"before"')).toBe('written');
    held.hold(records);
    const claim = here.records.claim('s', FENCE, OTHER);
    await held.caught();
    expect(await append(there, 1, '"late"')).toBe('fenced');
    expect(await there.records.read('s')).toEqual(recordOf('s'));
    held.letGo();
    expect(await claim).toMatchObject({ claimed: true, record: { epoch: 2, owner: OTHER } });
    expect(await logged(here)).toEqual(['"before"']);
    expect(await append(here, 1, '"after"', { fence: NEXT })).toBe('written');
  });

  test('whose claimer dies before its commit refuses the old owner too, and the next claim continues', async () => {
    const { held, here, there, records, givenUp } = await twoViews();
    await there.records.create(recordOf('s'));
    await append(there, 0, '"before"', { mark: { name: '1', stream: 'p' } });
    held.hold(records);
    await givenUp(here.records.claim('s', FENCE, OTHER));
    held.drop();
    expect(await append(there, 1, '"late"')).toBe('fenced');
    const claim = await there.records.claim('s', FENCE, 'third');
    expect(claim).toMatchObject({ claimed: true, record: { epoch: 2 }, marks: [{ name: '1', stream: 'p' }] });
    expect(await append(there, 1, '"after"', { fence: { epoch: 2, owner: 'third' } })).toBe('written');
    expect(await logged(there)).toEqual(['"before"', '"after"']);
  });

  test('that comes after an append reads it, however late the append was', async () => {
    const { held, here, there, log } = await twoViews();
    await there.records.create(recordOf('s'));
    held.hold(log);
    const claim = here.records.claim('s', FENCE, OTHER);
    await held.caught();
    expect(await append(there, 0, '"late"', { mark: { name: '1', stream: 'p' }, note: '[1]' })).toBe('written');
    held.letGo();
    expect(await claim).toMatchObject({ claimed: true, marks: [{ name: '1', stream: 'p' }] });
    expect(await openStreams(here, 's')).toEqual([{ stream: 'p', next: 1, note: '[1]' }]);
    expect(await logged(here)).toEqual(['"late"']);
  });

  test.each([0, 1])('is not overtaken by an append that was on its way, after %i others', async (before) => {
    const { held, here, there, log } = await twoViews();
    await here.records.create(recordOf('s'));
    for (let n = 0; n < before; n++) await append(here, n, `"${n}"`);
    held.hold(log);
    const late = append(here, before, '"late"');
    await held.caught();
    expect(await there.records.claim('s', FENCE, OTHER)).toMatchObject({ claimed: true });
    held.letGo();
    expect(await late).toBe('fenced');
    expect(await logged(there)).toEqual(before === 0 ? [] : ['"0"']);
  });

  test('is not overtaken by a save, a release or an end that was on its way', async () => {
    for (const write of ['save', 'release', 'end'] as const) {
      const { held, here, there, records } = await twoViews();
      await here.records.create(recordOf('s'));
      held.hold(records);
      const change = write === 'release' ? ({ release: true } as const) : {};
      const late = write === 'end' ? here.records.end('s', FENCE, 'deleted') : here.records.save('s', FENCE, change);
      await held.caught();
      expect(await there.records.claim('s', FENCE, OTHER)).toMatchObject({ claimed: true });
      held.letGo();
      expect(await late, write).toBe('fenced');
      expect(await there.records.read('s'), write).toEqual(recordOf('s', NEXT));
      expect(await append(there, 0, '"after"', { fence: NEXT })).toBe('written');
    }
  });

  test('and the end of a dead owner leave nothing for an append that was on its way', async () => {
    const { held, here, there, log } = await twoViews();
    await here.records.create(recordOf('s'));
    held.hold(log);
    const late = append(here, 0, '"late"');
    await held.caught();
    expect(await there.records.end('s', FENCE, 'idle')).toBe('ended');
    held.letGo();
    expect(await late).toBe('fenced');
    expect(await logged(there)).toEqual([]);
  });

  test('of many at once has one winner, whose writes go on', async () => {
    const { there, here } = await twoViews();
    await there.records.create(recordOf('s', { owner: null }));
    const claimers = Array.from({ length: 12 }, (_, n) => `claimer-${n}`);
    const views = [here, there];
    const outcomes = await Promise.all(
      claimers.map(async (me, n) => {
        const view = views[n % 2] as View;
        await view.instances.announce({ id: me, state: 'serving', version: '1' }, () => undefined);
        return { me, view, won: (await view.records.claim('s', OWNERLESS, me)).claimed };
      }),
    );
    const [winner, ...more] = outcomes.filter(({ won }) => won);
    expect(more).toEqual([]);
    const fence = { epoch: 2, owner: winner?.me ?? '' };
    expect(await append(winner?.view as View, 0, '"mine"', { fence })).toBe('written');
    for (const { me, view, won } of outcomes) {
      if (!won) expect(await append(view, 1, '"not mine"', { fence: { epoch: 2, owner: me } }), me).toBe('fenced');
    }
    expect(await logged(here)).toEqual(['"mine"']);
  });

  test('whose answer was lost is claimed again, and its writes go on', async () => {
    const { held, here, there, records, givenUp } = await twoViews();
    await there.records.create(recordOf('s', { owner: null }));
    await here.instances.announce({ id: OTHER, state: 'serving', version: '1' }, () => undefined);
    held.hold(records);
    await givenUp(here.records.claim('s', OWNERLESS, OTHER));
    held.letGo();
    const again = await here.records.claim('s', OWNERLESS, OTHER);
    expect(again).toMatchObject({ claimed: true, record: { epoch: 2, owner: OTHER } });
    expect(await append(here, 0, '"mine"', { fence: NEXT })).toBe('written');
  });

  test('that was given up and comes late undoes no later write of the same process', async () => {
    const { held, here, records, givenUp } = await twoViews();
    await here.records.create(recordOf('s'));
    held.hold(records);
    await givenUp(here.records.save('s', FENCE, { head: 'debug' }));
    // What comes now overtakes what is still on its way.
    const late = held.takeOut();
    expect(await here.records.save('s', FENCE, { head: 'error' })).toBe('written');
    late();
    expect(await here.records.read('s')).toMatchObject({ head: 'error' });
    expect(await here.records.save('s', FENCE, { stamp: 7 })).toBe('written');
    expect(await here.records.read('s')).toMatchObject({ head: 'error', stamp: 7 });
  });

  test("after a release, an append that was given up and comes late is in no owner's log", async () => {
    const { held, here, there, log, givenUp } = await twoViews();
    await here.records.create(recordOf('s'));
    await append(here, 0, '"before"');
    held.hold(log);
    await givenUp(append(here, 1, '"late"'));
    const late = held.takeOut();
    expect(await here.records.save('s', FENCE, { release: true })).toBe('written');
    late();
    expect(await there.records.claim('s', OWNERLESS, OTHER)).toMatchObject({ claimed: true });
    expect(await logged(there)).toEqual(['"before"']);
  });
});
