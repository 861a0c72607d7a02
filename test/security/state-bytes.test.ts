/**
 * `limits.stateBytes` while changes of `session.state` are under way. A client may make a handler replace a large value
 * by a small one, and store more before that write has ended, or failed.
 */
import { expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import type { SessionState } from '../../src/index.ts';
import { openState } from '../kit/sessions.ts';
import { watchedStore } from '../kit/watched-store.ts';

const LIMIT = 1_000;
const VALUE = 'x'.repeat(900);

/** A session with the key `a`, which has most of the limit. `end` settles the saves that are held. */
async function openFull() {
  const store = watchedStore({ durable: true });
  const state = await openState({ store, waitMs: 1, limits: { stateBytes: LIMIT } });
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
    return entries.reduce((sum, [key, value]) => sum + key.length + JSON.stringify(value).length, 0);
  };
  return { state, end, bytes };
}

const outcome = (change: Promise<unknown>): Promise<string> =>
  change.then(
    () => 'stored',
    (error: { code: string }) => error.code,
  );

test.each([
  ['a smaller value', (state: SessionState) => state.set('a', '')],
  ['a delete', (state: SessionState) => state.delete('a')],
] as const)('%s frees its bytes only once it is stored', async (_what, shrink) => {
  const { state, end, bytes } = await openFull();
  const shrinking = outcome(shrink(state));
  const others = Array.from({ length: 10 }, (_, n) => outcome(state.set(`b${n}`, VALUE)));
  end(storeAway('the cable is out'));
  expect(await shrinking).toBe('STORE_AWAY');
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
