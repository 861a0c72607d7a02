/**
 * The sweep: records of dead sessions are ended, and sessions in use are kept, however long that or the user's hook
 * takes.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { storeUnavailable, storeRefused } from '../../../src/base/errors.ts';
import { elapse } from '../../../src/base/system.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { serveMember } from '../../kit/fleet.ts';
import { until } from '../../kit/until.ts';
import { refusalOf } from '../../kit/refusals.ts';
import { cut, gate, mend, watchedStore } from '../../kit/watched-store.ts';
import { plainRecord } from '../../stores/contract/plain-record.ts';
import { hashOf } from '../../kit/log.ts';

const SWEEP = 5_000;
const IDLE = 20_000;

/** `hang` keeps a hook waiting until the test is over. */
type Hook = (id: string, hang: () => Promise<void> | undefined) => void | Promise<void>;

async function sweeping(onSessionEnded: Hook, options: McpEndpointOptions = {}) {
  const hung = gate();
  const time = createFakeTime();
  const store = watchedStore({ durable: true });
  const member = await serveMember({
    timeProvider: time,
    idleTimeoutMs: IDLE,
    store,
    sessionMigrationHandler: {
      allowSessionMigration: () => null,
      onSessionEnded: (id) => onSessionEnded(id, hung.hook),
    },
    ...options,
  });
  // Before the endpoint is closed, which waits for hooks on a clock that no longer moves.
  onTestFinished(hung.open);
  let dead = 0;
  return {
    ...member,
    time,
    store,
    /** Sessions that live nowhere and expire with the next sweep. */
    async leaveDead(count: number): Promise<void> {
      const view = store.views[0];
      if (view === undefined) throw new Error('the endpoint has opened its store');
      for (const end = dead + count; dead < end; dead++) {
        const record = plainRecord(`dead-${dead}`, { epoch: 1, owner: null });
        expect(await view.sessions.create(record, 1)).toBe('created');
      }
    },
    async statuses(client: RawClient, forMs: number): Promise<number[]> {
      const statuses: number[] = [];
      for (let ms = 0; ms < forMs; ms += SWEEP) {
        await time.advance(SWEEP);
        statuses.push((await client.call('ping')).response.status);
      }
      return statuses;
    },
  };
}

const all200 = (ms: number): number[] => Array.from({ length: ms / SWEEP }, () => 200);

describe('a session in use is kept', () => {
  test('while 400 expired sessions end with a hook of 150 ms each', async () => {
    const ended: string[] = [];
    const { openSession, leaveDead, statuses, time } = await sweeping(async (id) => {
      await elapse(time, 150);
      ended.push(id);
    });
    const active = await openSession();
    await leaveDead(400);
    expect(await statuses(active, 100_000)).toEqual(all200(100_000));
    expect(ended.length).toBe(400);
  });

  test('while the store does not say which sessions expired', async () => {
    const { openSession, statuses, store } = await sweeping(() => undefined);
    const active = await openSession();
    const stuck = gate();
    onTestFinished(stuck.open);
    store.before['sessions.due'] = stuck.hook;
    expect(await statuses(active, 100_000)).toEqual(all200(100_000));
  });
});

test('16 expired sessions end at once', async () => {
  const ended: string[] = [];
  const { leaveDead, time, store } = await sweeping((id) => void ended.push(id));
  await leaveDead(40);
  const slow = gate();
  store.before['sessions.end'] = slow.hook;
  await time.advance(SWEEP);
  expect(slow.waiting).toBe(16);
  await time.advance(SWEEP);
  expect(slow.waiting).toBe(16);
  slow.open();
  await until(() => ended.length === 40);
});

test('an end that the store refuses is logged, keeps no other session from its end, and is tried again', async () => {
  const ended: string[] = [];
  const { leaveDead, time, store, log } = await sweeping((id) => void ended.push(id));
  await leaveDead(40);
  store.before['sessions.end'] = (id: string): void => {
    if (id === 'dead-0') throw storeRefused('its row is damaged');
  };
  await time.advance(SWEEP);
  expect(log.matching(/^Expired sessions could not be removed/).length).toBe(1);
  expect(ended.length).toBe(39);
  mend(store);
  await time.advance(SWEEP);
  expect(new Set(ended).size).toBe(40);
});

test('a session that could not be restored while the store was away ends in its time', async () => {
  const ended: string[] = [];
  let made = 0;
  const configureSessionOptions = (): undefined => {
    if ((made += 1) > 1) throw new Error('no tenant');
  };
  const options = { hibernateAfterMs: 1, maxWaitMs: 0, configureSessionOptions };
  const { openSession, time, store } = await sweeping((id) => void ended.push(id), options);
  const one = await openSession();
  await time.advance(SWEEP);
  cut(store, 'sessions.release');
  expect(refusalOf((await one.call('ping')).response)).toBe('restore_failed');
  mend(store);
  await time.advance(2 * IDLE);
  expect(ended).toEqual([one.sessionId]);
});

test('an initialize whose record was stored without a reply leaves no session behind', async () => {
  const ended: string[] = [];
  const { client, time, store } = await sweeping((id) => void ended.push(id), { maxWaitMs: 0 });
  store.after['sessions.create'] = () => {
    throw storeUnavailable('the reply is lost');
  };
  const { response } = await client().initialize();
  expect([response.status, ended.length]).toEqual([503, 1]);
  const [id = ''] = ended;
  await time.advance(2 * IDLE);
  expect([ended, await store.views[0]?.sessions.list(1)]).toEqual([[id, id], { records: [] }]);
});

test('a write that is repeated forgets no later one of the same session', async () => {
  const ended: string[] = [];
  const { openSession, endpoint, time, store } = await sweeping((id) => void ended.push(id), {
    hibernateAfterMs: 1,
  });
  const one = await openSession();
  cut(store, 'sessions.release');
  await time.advance(SWEEP);
  const repeated = gate();
  store.before['sessions.release'] = repeated.hook;
  await time.advance(SWEEP);
  expect(repeated.waiting).toBe(1);
  expect((await one.call('ping')).response.status).toBe(200);
  cut(store, 'sessions.release');
  await time.advance(SWEEP);
  expect(endpoint.sessions.liveCount).toBe(0);
  mend(store);
  repeated.open();
  await time.advance(SWEEP);
  expect((await store.views[0]?.sessions.read(one.sessionId ?? '')) as object).toMatchObject({
    owner: null,
  });
});

test('a write that the store refuses for good keeps neither other sessions nor the sweep', async () => {
  const ended: string[] = [];
  const { openSession, leaveDead, time, store } = await sweeping((id) => void ended.push(id), {
    hibernateAfterMs: 1,
  });
  const [damaged, other] = [await openSession(), await openSession()];
  cut(store, 'sessions.release');
  await time.advance(SWEEP);
  store.before['sessions.release'] = (id: string): void => {
    if (id === damaged.sessionId) throw storeRefused('its row is damaged');
  };
  await leaveDead(1);
  await time.advance(2 * SWEEP);
  expect((await store.views[0]?.sessions.read(other.sessionId ?? '')) as object).toMatchObject({
    owner: null,
  });
  expect(ended).toEqual(['dead-0']);
});

describe('an onSessionEnded that hangs', () => {
  test('stops neither the sweep it came from nor later ones', async () => {
    const ended: string[] = [];
    const { leaveDead, time } = await sweeping((id, hang) => {
      ended.push(id);
      return ended.length === 1 ? hang() : undefined;
    });
    await leaveDead(3);
    await time.advance(SWEEP);
    expect(ended.length).toBe(3);
    await leaveDead(1);
    await time.advance(SWEEP);
    expect(ended.at(-1)).toBe('dead-3');
  });

  test('does not hold up DELETE, nor sessions.end()', async () => {
    const { client, endpoint } = await sweeping((_id, hang) => hang());
    const [one, two] = [client(), client()];
    await one.initialize();
    await two.initialize();
    expect((await one.delete()).status).toBe(200);
    expect(await endpoint.sessions.end(two.sessionId ?? '')).toBe(true);
  });

  test('does not hold up an initialize past the idle limit', async () => {
    const { client, endpoint } = await sweeping((_id, hang) => hang(), { maxIdleSessionCount: 1 });
    for (let n = 0; n < 3; n++) expect((await client().initialize()).response.status).toBe(200);
    expect(endpoint.sessions.liveCount).toBe(1);
  });

  test('gives its place to others after 30 s, and one log line names the session', async () => {
    const asked: string[] = [];
    const { leaveDead, time, log } = await sweeping((id, hang) => {
      asked.push(id);
      return asked.length <= 16 ? hang() : undefined;
    });
    await leaveDead(17);
    await time.advance(SWEEP);
    expect(asked.length).toBe(16);
    await time.advance(30_000);
    expect(asked.length).toBe(17);
    const lines = log.matching(/onSessionEnded did not return/, 'warn');
    expect(lines.map(({ fields }) => fields['sessionId'])).toEqual(asked.slice(0, 16).map(hashOf));
  });
});

describe('close()', () => {
  test('waits until onSessionEnded has returned', async () => {
    const told = gate();
    const { openSession, endpoint, time } = await sweeping(() => told.hook());
    const one = await openSession();
    await one.delete();
    let closed = false;
    const closing = endpoint.close({ timeoutMs: 0 }).then(() => (closed = true));
    await time.advance(1_000);
    expect(closed).toBe(false);
    told.open();
    await closing;
  });

  test('but not for a hook that hangs', async () => {
    const { openSession, endpoint, time, log } = await sweeping((_id, hang) => hang());
    const one = await openSession();
    await one.delete();
    let closed = false;
    const closing = endpoint.close({ timeoutMs: 0 }).then(() => (closed = true));
    await time.advance(3_999);
    expect(closed).toBe(false);
    await time.advance(1);
    await closing;
    expect(
      log.matching(/still running when the endpoint closed/, 'warn').map(({ fields }) => fields),
    ).toEqual([{ running: 1, waiting: 0 }]);
  });
});

describe('expired sessions', () => {
  test('without a living owner are ended, however many of living owners the store names before them', async () => {
    const ended: string[] = [];
    const { leaveDead, store, time } = await sweeping((id) => void ended.push(id));
    for (const id of ['one', 'other'])
      await store.views[0]?.instances.announce(
        { id, state: 'serving', version: '1' },
        () => undefined,
      );
    for (let n = 0; n < 250; n++) {
      const record = plainRecord(`owned-${n}`, { epoch: 1, owner: n % 2 === 0 ? 'one' : 'other' });
      await store.views[0]?.sessions.create(record, 1);
    }
    await leaveDead(120);
    await time.advance(SWEEP);
    await until(() => ended.length === 120);
    expect(ended.every((id) => id.startsWith('dead-'))).toBe(true);
    const lastEnded = store.calls
      .filter(({ call }) => call === 'sessions.end')
      .map(({ args }) => args[1]);
    expect(lastEnded[0]).toMatchObject({ epoch: 1, owner: null });
  });

  test('of one dead owner cost one look at its lease in each pass', async () => {
    const ended: string[] = [];
    const { store, time } = await sweeping((id) => void ended.push(id));
    for (let n = 0; n < 250; n++)
      await store.views[0]?.sessions.create(
        plainRecord(`left-${n}`, { epoch: 1, owner: 'dead' }),
        1,
      );
    store.calls.length = 0;
    await time.advance(SWEEP);
    await until(() => ended.length === 250);
    expect(
      store.calls.filter(({ call, args }) => call === 'instances.read' && args[0] === 'dead'),
    ).toHaveLength(1);
  });
});
