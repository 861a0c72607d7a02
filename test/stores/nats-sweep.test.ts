/** What goes by itself: nothing in NATS grows without an end. The clock is the test's. */
import { dueNow, openStreams, type ViewSettings } from '../../src/testing/view.ts';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { postStreamKey } from '../../src/session/streams/event-id.ts';
import { nats } from '../../src/stores/nats/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { FakeClock } from './nats-fake-clock.ts';
import { connectTo, FENCE, managerOf, ME, newPrefix, openView, OTHER, OWNERLESS, recordOf } from './nats-views.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describeWithServer('nats', 'in the NATS store', (server) => {
  async function fakedViews(more: Partial<ViewSettings> = {}) {
    const [clock, prefix] = [new FakeClock(), newPrefix()];
    const open = async () => {
      const store = nats(clock.shownBy(await connectTo(server().url)), { prefix });
      return openView(store, { time: clock.time, leaseMs: 1e9, ...more });
    };
    const [here, there] = [await open(), await open()];
    const manager = await managerOf(server().url);
    /** How many messages a stream has. */
    const messages = async (stream: 'records' | 'instances' | 'log' | 'places' | 'agenda'): Promise<number> => {
      const name = stream === 'records' || stream === 'instances' ? `KV_${prefix}_${stream}` : `${prefix}_${stream}`;
      return (await manager.streams.info(name)).state.messages;
    };
    return { clock, here, there, messages, prefix, manager };
  }

  test('a session is named when it has expired, however far that was, and however often it was moved', async () => {
    const { clock, here, there, messages } = await fakedViews();
    const expiries = { soon: 5_000, minutes: 20 * MINUTE, hours: 5 * HOUR, days: 3 * DAY, months: 90 * DAY };
    for (const [id, ms] of Object.entries(expiries)) await here.records.create(recordOf(id, { owner: null }), ms);
    await here.records.create(recordOf('moved'), HOUR);
    await here.records.create(recordOf('never', { owner: null }));
    let passed = 0;
    for (const [id, ms] of Object.entries(expiries)) {
      while (passed < ms) {
        const step = Math.min(ms - passed, DAY / 3);
        await clock.pass(step - 1);
        expect(await dueNow(there, 10), `${id} is not due yet`).toEqual([]);
        await clock.pass(1);
        passed += step;
        await here.records.save('moved', FENCE, { expiresInMs: DAY });
        if (passed < ms) expect(await dueNow(there, 10)).toEqual([]);
      }
      expect(await dueNow(there, 10)).toEqual([{ id, ...OWNERLESS, expired: true }]);
      expect((await here.records.list(1_000)).records.length).toBe(6 - Object.keys(expiries).indexOf(id));
      expect(await there.records.end(id, OWNERLESS, 'idle')).toBe('ended');
      expect(await dueNow(here, 10)).toEqual([]);
    }
    // Entries that are done go with their slots.
    await clock.pass(HOUR);
    await dueNow(here, 10);
    expect(await messages('agenda')).toBeLessThan(6);
  });

  /** Entries of the agenda for sessions that ended long ago, in one slot. */
  async function fillSlot(subject: string, at: number, count: number): Promise<void> {
    const connection = await connectTo(server().url);
    for (let n = 0; n < count; n++) {
      connection.publish(subject, JSON.stringify({ v: 1, id: `ended-${n}`, at }));
      if (n % 500 === 499) await connection.flush();
    }
    await connection.flush();
  }

  /** A store that counts its reads of the agenda. */
  async function countedView(prefix: string, more: Partial<ViewSettings> = {}) {
    const connection = await connectTo(server().url);
    let reads = 0;
    const counted = new Proxy(connection, {
      get: (target, name) => {
        if (name === 'publish')
          return (subject: string, ...rest: [Uint8Array, object]) => {
            if (subject === `$JS.API.STREAM.MSG.GET.${prefix}_agenda`) reads += 1;
            target.publish(subject, ...rest);
          };
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    return { view: await openView(nats(counted, { prefix }), more), reads: () => reads };
  }

  test('of sessions that expire together each entry of the agenda is read once', { timeout: 120_000 }, async () => {
    const sessions = Number(process.env['SOJOURN_EXPIRED'] ?? 2_000);
    const { view, reads } = await countedView(newPrefix());
    for (let n = 0; n < sessions; n += 100)
      await Promise.all(
        Array.from({ length: 100 }, async (_, m) =>
          view.records.create(recordOf(`s${n + m}`, { owner: null }), -60_000),
        ),
      );
    const ended = new Set<string>();
    const began = performance.now();
    for (let some = await dueNow(view, 100); some.length > 0; some = await dueNow(view, 100)) {
      for (const outcome of await Promise.all(some.map(async (one) => view.records.end(one.id, one, 'idle'))))
        expect(outcome).toBe('ended');
      for (const { id } of some) ended.add(id);
    }
    if (process.env['SOJOURN_EXPIRED'] !== undefined)
      console.info(`${sessions} expired sessions ended in ${Math.round(performance.now() - began)} ms`);
    expect(ended.size).toBe(sessions);
    expect((await view.records.list(1_000)).records.length).toBe(0);
    // One read more finds the end of the slot, in each pass.
    expect(reads()).toBeLessThan(sessions * 1.1 + 50);
  });

  test('a slot with more ended entries than a pass can read hides no session behind them', async () => {
    const [prefix, at] = [newPrefix(), Math.floor((Date.now() - MINUTE) / MINUTE) * MINUTE];
    // A pass takes 300 ms at most.
    const { view } = await countedView(prefix, { leaseMs: 450 });
    await fillSlot(`${prefix}.due.mcp.things.${at / MINUTE}`, at, 12_000);
    await view.records.create(recordOf('behind', { owner: null }), at - Date.now());
    const expired = until(async () => (await dueNow(view, 10)).length > 0 || undefined, {
      timeoutMs: 30_000,
    });
    await expired;
    expect(await dueNow(view, 10)).toEqual([{ id: 'behind', ...OWNERLESS, expired: true }]);
  });

  test('entries for a later day that are too many for one pass are moved in several', async () => {
    const prefix = newPrefix();
    const { view, reads } = await countedView(prefix, { leaseMs: 450 });
    const at = Math.floor((Date.now() - 2 * MINUTE) / MINUTE) * MINUTE;
    const subject = `${prefix}.due.mcp.things.${at / MINUTE}`;
    await fillSlot(subject, at + 5 * DAY, 12_000);
    await view.records.create(recordOf('behind', { owner: null }), at + MINUTE - Date.now());
    const manager = await managerOf(server().url);
    let most = 0;
    await until(
      async () => {
        const before = reads();
        await dueNow(view, 10);
        most = Math.max(most, reads() - before);
        const { state } = await manager.streams.info(`${prefix}_agenda`, { subjects_filter: subject });
        return state.subjects?.[subject] === undefined;
      },
      { timeoutMs: 30_000 },
    );
    expect(most).toBeLessThan(12_000);
    await until(async () => (await dueNow(view, 10)).some(({ id }) => id === 'behind'), { timeoutMs: 30_000 });
  });

  test('an entry of the list that a crash left behind stays for ten minutes at most', async () => {
    const { clock, here, there, messages, prefix, manager } = await fakedViews();
    const other = await openView(nats(clock.shownBy(await connectTo(server().url)), { prefix }), { name: 'other' });
    await here.records.create(recordOf('living'));
    await other.records.create(recordOf('of another deployment'));
    for (let n = 0; n < 300; n++) {
      await here.records.create(recordOf(`lost-${n}`));
      await manager.streams.purge(`KV_${prefix}_records`, { filter: `$KV.${prefix}_records.mcp.things.lost-${n}` });
    }
    await here.records.create(recordOf('later'));
    await dueNow(there, 10);
    expect(await messages('places')).toBe(303);
    await clock.pass(10 * MINUTE + 1);
    for (let sweeps = 0; sweeps < 2; sweeps++) await dueNow(there, 10);
    expect(await messages('places')).toBe(3);
    expect((await here.records.list(10)).records.map(({ id }) => id)).toEqual(['living', 'later']);
  });

  test('an expiry that is moved to an earlier time counts', async () => {
    const { clock, here, there } = await fakedViews();
    await here.records.create(recordOf('s'), 10 * DAY);
    for (const days of [5, 8, 2, 3]) await here.records.save('s', FENCE, { expiresInMs: days * DAY });
    await here.records.save('s', FENCE, { release: true, expiresInMs: HOUR });
    await clock.pass(HOUR - 1);
    expect(await dueNow(there, 10)).toEqual([]);
    await clock.pass(1);
    expect(await dueNow(there, 10)).toEqual([{ id: 's', ...OWNERLESS, expired: true }]);
  });

  test('a session whose owner keeps saving it costs the cleanup schedule no further entry', async () => {
    const { clock, here, there, messages } = await fakedViews();
    await here.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    await here.records.create(recordOf('s'), 2 * HOUR);
    for (let n = 0; n < 200; n++) {
      await clock.pass(12 * MINUTE);
      expect(await here.records.save('s', FENCE, { expiresInMs: 2 * HOUR })).toBe('written');
      for (const view of [here, there]) expect(await dueNow(view, 10)).toEqual([]);
      expect(await messages('agenda')).toBeLessThan(6);
    }
    expect(await here.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] })).toBe('written');
  });

  test('what has ended leaves a tombstone, and after its time nothing', async () => {
    const { clock, here, there, messages } = await fakedViews({ keepMs: HOUR });
    const ids = Array.from({ length: 40 }, (_, n) => `s${n}`);
    for (const id of ids) {
      await here.records.create(recordOf(id), DAY);
      const append = { id: id, fence: FENCE, stream: 'p', events: ['1', '2'] };
      for (const from of [0, 2, 4]) await here.records.append({ ...append, from });
    }
    for (const id of ids) expect(await here.records.end(id, FENCE, 'deleted')).toBe('ended');
    expect(await messages('places')).toBe(0);
    expect(await messages('records')).toBe(ids.length);
    // The logs go one after the other; what says that they are closed stays.
    await until(async () => (await messages('log')) === ids.length, { timeoutMs: 20_000 });
    await clock.pass(HOUR);
    expect(await dueNow(there, 10)).toEqual([]);
    expect(await messages('records')).toBe(0);
    await until(async () => (await messages('log')) === 0);
    await clock.pass(2 * DAY);
    expect(await dueNow(there, 10)).toEqual([]);
    expect(await messages('agenda')).toBe(0);
  });

  test('an id that is made anew after its tombstone keeps what is its own', async () => {
    const retention = { ttlMs: 10 * DAY, events: 10, bytes: 1_000 };
    const { clock, here, there } = await fakedViews({ keepMs: MINUTE, log: retention });
    const append = { id: 's', fence: FENCE, stream: 'p', from: 0 };
    for (const round of ['1', '2', '3']) {
      expect(await here.records.create(recordOf('s', { body: round }))).toBe('created');
      expect(await here.records.append({ ...append, events: [round] })).toBe('written');
      const kept = await there.records.replay('s', 'p', -1);
      expect(kept.found && kept.events).toEqual([{ offset: 0, data: round }]);
      if (round === '3') break;
      await here.records.end('s', FENCE, 'deleted');
      await clock.pass(MINUTE);
    }
    await dueNow(there, 10);
    await clock.pass(DAY);
    await dueNow(there, 10);
    expect(await there.records.read('s')).toEqual(recordOf('s', { body: '3' }));
    expect((await there.records.replay('s', 'p', -1)).found).toBe(true);
    expect((await there.records.list(10)).records).toHaveLength(1);
  });

  test('of a log that is written on and on the server keeps a few times what is kept', async () => {
    const { here, there, messages } = await fakedViews({ log: { ttlMs: HOUR, events: 100, bytes: 1_000_000 } });
    await here.records.create(recordOf('s'));
    const append = { id: 's', fence: FENCE, stream: 'p' };
    for (let from = 0; from < 3_000; from++) await here.records.append({ ...append, from, events: [`"${from}"`] });
    await until(async () => (await messages('log')) < 700);
    const kept = await there.records.replay('s', 'p', 2_899);
    expect(kept.found && kept.events.length).toBe(100);
    expect(await there.records.replay('s', 'p', 2_898)).toEqual({ found: false, why: 'gap', first: 2_900 });
  });

  test('large events that are too much go with their parts, and what is kept has all its parts', async () => {
    const { here, there, prefix, manager } = await fakedViews({
      log: { ttlMs: HOUR, events: 100, bytes: 3_000_000 },
    });
    await here.records.create(recordOf('s'));
    const events = [JSON.stringify('x'.repeat(1_200_000))];
    for (let from = 0; from < 14; from++)
      await here.records.append({ id: 's', fence: FENCE, stream: 'p', from, events });
    const bytes = async (): Promise<number> => (await manager.streams.info(`${prefix}_log`)).state.bytes;
    await until(async () => (await bytes()) < 10_000_000, { timeoutMs: 10_000 });
    const kept = await there.records.replay('s', 'p', 11);
    expect(kept.found && kept.events.map(({ data }) => data.length)).toEqual([events[0]?.length, events[0]?.length]);
  });

  test('the end of a log that says something is written again before it is forgotten', async () => {
    const { clock, here, there, messages } = await fakedViews({ log: { ttlMs: HOUR, events: 10, bytes: 1_000 } });
    await here.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    const mark = { name: '1', stream: 'p' };
    for (const id of ['running', 'quiet', 'others']) await here.records.create(recordOf(id));
    const append = { fence: FENCE, stream: 'p', from: 0, events: [''], note: '[1]' };
    await here.records.append({ ...append, id: 'running', mark });
    await here.records.append({ ...append, id: 'quiet', complete: true });
    const before = await messages('log');
    await clock.pass(30 * MINUTE);
    await here.records.trim();
    expect(await messages('log')).toBe(before);
    await clock.pass(31 * MINUTE);
    for (const view of [here, there]) await view.records.trim();
    expect(await messages('log')).toBe(before + 1);
    await here.instances.leave(ME);
    expect(await there.records.claim('running', FENCE, OTHER)).toMatchObject({ claimed: true, marks: [mark] });
    expect(await openStreams(there, 'running')).toEqual([{ stream: 'p', next: 1, note: '[1]' }]);
  });

  test('what a log says outlives the log, where the record was written since', async () => {
    const { here, there, prefix, manager } = await fakedViews();
    await here.records.create(recordOf('s'));
    const mark = { name: '1', stream: 'p' };
    await here.records.append({
      id: 's',
      fence: FENCE,
      stream: 'p',
      from: 0,
      events: ['', '1'],
      note: '[1]',
      mark,
    });
    await here.records.save('s', FENCE, { release: true });
    await manager.streams.purge(`${prefix}_log`);
    const claim = await there.records.claim('s', OWNERLESS, OTHER);
    expect(claim).toMatchObject({ claimed: true, marks: [mark] });
    expect(await openStreams(there, 's')).toEqual([{ stream: 'p', next: 2, note: '[1]' }]);
    expect(await there.records.replay('s', 'p', -1)).toEqual({ found: false, why: 'gap', first: 2 });
    const fence = { epoch: 2, owner: OTHER };
    expect(await there.records.append({ id: 's', fence, stream: 'p', from: 2, events: ['2'] })).toBe('written');
    const kept = await here.records.replay('s', 'p', 1);
    expect(kept.found && kept.events).toEqual([{ offset: 2, data: '2' }]);
  });

  test('a state of many streams and markers comes whole with a claim, wherever it is in the log', async () => {
    const { here, there } = await fakedViews();
    await here.records.create(recordOf('s'));
    const names = Array.from({ length: 60 }, (_, n) => postStreamKey(1, n));
    const requests = JSON.stringify([{ id: 1, method: 'tools/call', params: { text: 'x'.repeat(100) } }]);
    for (const stream of names) {
      const append = { id: 's', fence: FENCE, stream, from: 0, events: [''], note: requests };
      await here.records.append({ ...append, mark: { name: `"${stream}"`, stream } });
    }
    let epoch = 1;
    for (const [n, stream] of names.slice(0, 20).entries()) {
      const fence = { epoch, owner: n === 0 ? ME : OTHER };
      const view = n === 0 ? here : there;
      const last = {
        id: 's',
        fence,
        stream,
        from: 1,
        events: ['{}'],
        complete: true,
        unmark: { name: `"${stream}"`, stream },
      };
      expect(await view.records.append(last)).toBe('written');
      expect(await view.records.append({ ...last, from: 0 })).toBe('fenced');
      const claim = await there.records.claim('s', fence, OTHER);
      const left = names.slice(n + 1);
      expect(claim.claimed && claim.marks.map((marker) => marker.stream)).toEqual(left);
      expect((await openStreams(there, 's')).map((open) => open.stream)).toEqual(left);
      epoch += 1;
    }
  });

  test('ids that are dead, and secrets of other days, are forgotten after a while', async () => {
    const { clock, here, there, messages } = await fakedViews({ leaseMs: MINUTE });
    for (let n = 0; n < 10; n++) {
      await here.instances.announce({ id: `crashed-${n}`, state: 'serving', version: '1' }, () => undefined);
      await here.secret(`day-${n}`, HOUR);
      await clock.pass(2 * HOUR);
    }
    const before = await messages('instances');
    await clock.pass(2 * DAY);
    await there.secret('today', HOUR);
    await there.instances.announce({ id: OTHER, state: 'serving', version: '1' }, () => undefined);
    expect(await there.instances.list()).toHaveLength(1);
    // An end is remembered from when it was stored, and the new instance still stores some.
    for (let n = 0; n < 10; n++) await there.instances.read(`crashed-${n}`);
    await clock.pass(2 * DAY);
    await here.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    // A lease each, the clock, and today's secret.
    await until(async () => (await messages('instances')) <= 4);
    expect(before).toBeGreaterThan(10);
  });

  test('a group counts what a crash has left in the list until the sweep removes it, and never too few', async () => {
    const { clock, here, there, messages, prefix, manager } = await fakedViews({ grouped: true });
    for (const id of ['g.a', 'g.b', 'g-.a', 'gg.a', 'g.half']) await here.records.create(recordOf(id));
    // As if the instance that created the record had crashed after its first write.
    await manager.streams.purge(`KV_${prefix}_records`, { filter: `$KV.${prefix}_records.mcp.things.g=2ehalf` });
    expect([await there.records.count('g'), await there.records.count('g-')]).toEqual([3, 1]);
    expect((await there.records.list(10, undefined, 'g')).records.map(({ id }) => id)).toEqual(['g.a', 'g.b']);
    await clock.pass(10 * MINUTE + 1);
    await dueNow(there, 10);
    expect([await there.records.count('g'), await messages('places')]).toEqual([2, 4]);
  });

  test('a group is counted and listed right, whatever was removed beside its messages', async () => {
    const { here, there } = await fakedViews({ grouped: true });
    const random = seededRandom(20_261_125);
    const living = new Map<string, Set<string>>(['a', 'a-', 'b'].map((group) => [group, new Set()]));
    for (let round = 0; round < 6; round++) {
      const ids = Array.from({ length: 60 }, (_, n) => `${['a', 'a-', 'b'][n % 3]}.${round}-${n}`);
      await Promise.all(ids.map(async (id) => here.records.create(recordOf(id, { fields: {} }))));
      for (const id of ids) living.get(id.slice(0, id.indexOf('.')))?.add(id);
      const all = [...living.values()].flatMap((set) => [...set]).filter(() => random() < 0.6);
      await Promise.all(all.map(async (id) => there.records.end(id, FENCE, 'deleted')));
      for (const id of all) living.get(id.slice(0, id.indexOf('.')))?.delete(id);
      for (const [group, set] of living) {
        expect(await here.records.count(group)).toBe(set.size);
        const listed = (await there.records.list(1_000, undefined, group)).records.map(({ id }) => id);
        expect(listed.sort()).toEqual([...set].sort());
      }
    }
  });
});
