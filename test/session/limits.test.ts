/** `limits.sessions` and `limits.stateBytes`: what is over them is refused, and what is refused takes no room. */
import { describe, expect, test } from 'vitest';
import { storeUnavailable } from '../../src/base/errors.ts';
import type { McpEndpointOptions, State } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { createLab } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { perSession } from '../kit/making-servers.ts';
import { faces, serve } from '../kit/serve.ts';
import { refusalOf } from '../kit/refusals.ts';
import { openState, stateOf } from '../kit/sessions.ts';
import { watchedStore } from '../kit/watched-store.ts';

/** `more`: in its data. */
const full = (id: number, limit: number, more = {}): unknown => ({
  jsonrpc: '2.0',
  id,
  error: {
    code: -32000,
    message: `Service Unavailable: this instance has ${limit} live sessions (limits.sessions)`,
    data: { reason: 'too_many_sessions', ...more },
  },
});

describe.each(faces)('limits.sessions over %s', (face) => {
  test('a session too many gets 503 and a time to try again; a session that ends makes room', async () => {
    const lab = createLab();
    const options = { limits: { sessions: 2, userShare: 1 }, legacySse: true };
    const { client, endpoint } = await serve(perSession(lab.factory), options, { face });
    const [one, two, three] = [client(), client(), client()];
    await one.initialize();
    await two.initialize();
    const { response, message } = await three.initialize();
    expect([response.status, response.header('retry-after'), message]).toEqual([
      503,
      '1',
      full(1, 2),
    ]);
    expect(response.header('mcp-session-id')).toBeUndefined();
    const old = await client().get({ path: '/mcp/sse' });
    expect([old.status, old.header('retry-after')]).toEqual([503, '1']);
    expect([endpoint.sessions.liveCount, lab.made.length]).toEqual([2, 2]);
    expect((await one.call('ping')).response.status).toBe(200);
    await one.delete();
    expect((await three.initialize()).response.status).toBe(200);
  });

  test('requests without a session do not need room', async () => {
    const { client } = await serve(createEchoServer, { limits: { sessions: 0 } }, { face });
    expect((await client().initialize()).response.status).toBe(503);
    expect((await callModern(client(), 'tools/list')).response.status).toBe(200);
  });
});

/** A session that another endpoint gave back, and another, which has the only place where the first one comes. */
async function withoutRoom(options: McpEndpointOptions = {}) {
  const store = memory();
  const one = await serve(createEchoServer, { store });
  const two = await serve(createEchoServer, { ...options, store, limits: { sessions: 1 } });
  const mine = await one.openSession();
  const theirs = await two.openSession();
  await one.endpoint.drain();
  return { theirs, moved: two.client({ of: mine }) };
}

test('limits.sessions: a session that finds no room here is kept', async () => {
  const { theirs, moved } = await withoutRoom({ maxWaitMs: 100 });
  const { id, response, message } = await moved.call('ping');
  expect(refusalOf(response, id)).toBe('too_many_sessions');
  expect(message).toEqual(full(id, 1, { mayHaveRun: false }));
  await theirs.delete();
  expect((await moved.call('ping')).response.status).toBe(200);
});

test('limits.sessions: a request waits until its session finds room here', async () => {
  const { theirs, moved } = await withoutRoom();
  const call = moved.call('ping');
  expect((await theirs.call('ping')).message).toHaveProperty('result');
  await theirs.delete();
  expect((await call).message).toHaveProperty('result');
});

describe('limits.stateBytes', () => {
  const tooLarge = (bytes: number, limit: number) => ({
    code: 'STATE_TOO_LARGE',
    message: `session.state would have ${bytes} bytes of JSON; ${limit} are allowed (limits.stateBytes). Nothing was changed`,
  });

  test('keys and JSON values count, to the byte', async () => {
    const state = await openState({ limits: { stateBytes: 20 } });
    await state.set('key', 'x'.repeat(15)); // 3 + 17
    await expect(state.set('key', 'x'.repeat(16))).rejects.toMatchObject(tooLarge(21, 20));
    await expect(state.set('k', 1)).rejects.toMatchObject(tooLarge(22, 20));
    expect(await state.entries()).toEqual([['key', 'x'.repeat(15)]]);
  });

  test('they count in UTF-8', async () => {
    const state = await openState({ limits: { stateBytes: 20 } });
    await state.set('k', '漢字漢字漢'); // 1 + 15 + 2
    await expect(state.set('k', '漢字漢字漢字')).rejects.toMatchObject(tooLarge(21, 20));
  });

  test('changes at once do not pass it together', async () => {
    const state = await openState({ limits: { stateBytes: 20 } });
    const sets = ['a', 'b', 'c'].map((key) => state.set(key, 'x'.repeat(7)));
    const outcomes = await Promise.allSettled(sets);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(await state.entries()).toHaveLength(2);
  });

  test('what was deleted before its change was stored is gone', async () => {
    const state = await openState({ store: watchedStore({ durable: true }) });
    const [, deleted] = await Promise.all([state.set('k', 1), state.delete('k')]);
    expect([deleted, await state.entries()]).toEqual([true, []]);
  });

  test('a change that makes its own idle session leave is charged to nobody', async () => {
    const limits = { memoryBytes: 300_000, stateBytes: 1_000_000, userShare: 1 };
    const { state, endpoint } = await stateOf({
      metrics: true,
      store: watchedStore({ durable: true }),
      limits,
    });
    await state.set('a', 'x'.repeat(200_000));
    await expect(state.set('b', 'y'.repeat(150_000))).rejects.toThrow('(hibernated)');
    expect(endpoint.metrics()).toContain('sojourn_memory_bytes{row="sessions"} 0\n');
  });

  test('an update past it changes nothing, and the next one is stored', async () => {
    const state = await openState({ limits: { stateBytes: 20 } });
    await state.set('n', 1);
    await expect(state.update('n', () => 'x'.repeat(30))).rejects.toMatchObject(tooLarge(33, 20));
    expect(await state.update<number>('n', (n = 0) => n + 1)).toBe(2);
  });
});

/** A client may make a handler replace a large value by a small one, and store more before that is written, or failed. */
describe('limits.stateBytes while changes are under way', () => {
  const LIMIT = 1_000;
  const VALUE = 'x'.repeat(900);

  /** A session with the key `a`, which has most of the limit. `end` settles the saves that are held. */
  async function openFull() {
    const store = watchedStore({ durable: true });
    const state = await openState({ store, maxWaitMs: 1, limits: { stateBytes: LIMIT } });
    await state.set('a', VALUE);
    const ends: Array<(error?: Error) => void> = [];
    store.before['sessions.save'] = () =>
      new Promise<void>((stored, failed) => {
        ends.push((error) => (error === undefined ? stored() : failed(error)));
      });
    const end = (error?: Error): void => {
      store.before['sessions.save'] = () => {
        if (error !== undefined) throw error;
      };
      for (const one of ends.splice(0)) one(error);
    };
    const bytes = async (): Promise<number> => {
      const entries = await state.entries();
      return entries.reduce(
        (sum, [key, value]) => sum + key.length + JSON.stringify(value).length,
        0,
      );
    };
    return { state, end, bytes };
  }

  const outcome = (change: Promise<unknown>): Promise<string> =>
    change.then(
      () => 'stored',
      (error: { code: string }) => error.code,
    );

  test.each([
    ['a smaller value', (state: State) => state.set('a', '')],
    ['a delete', (state: State) => state.delete('a')],
  ] as const)('%s frees its bytes only once it is stored', async (_what, shrink) => {
    const { state, end, bytes } = await openFull();
    const shrinking = outcome(shrink(state));
    const others = Array.from({ length: 10 }, (_, n) => outcome(state.set(`b${n}`, VALUE)));
    end(storeUnavailable('the cable is out'));
    expect(await shrinking).toBe('STORE_UNAVAILABLE');
    expect(new Set(await Promise.all(others))).toEqual(new Set(['STATE_TOO_LARGE']));
    expect(await bytes()).toBeLessThanOrEqual(LIMIT);
    // The failed write left the charge as it was.
    end();
    expect(await outcome(state.set('b', VALUE))).toBe('STATE_TOO_LARGE');
    expect(await outcome(shrink(state))).toBe('stored');
    expect(await outcome(state.set('b', VALUE))).toBe('stored');
  });

  test('a value that shrinks and grows again does not lend its bytes to another key', async () => {
    const { state, end, bytes } = await openFull();
    const own = [state.set('a', ''), state.set('a', VALUE)];
    const other = outcome(state.set('b', VALUE));
    end();
    await Promise.all(own);
    expect(await other).toBe('STATE_TOO_LARGE');
    expect(await bytes()).toBeLessThanOrEqual(LIMIT);
    expect(await state.get('a')).toBe(VALUE);
  });

  test('writes of one key under way are charged once', async () => {
    const { state, end } = await openFull();
    const own = Array.from({ length: 10 }, () => outcome(state.set('a', VALUE)));
    end();
    expect(new Set(await Promise.all(own))).toEqual(new Set(['stored']));
  });
});
