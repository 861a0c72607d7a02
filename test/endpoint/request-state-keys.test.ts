import { describe, expect, onTestFinished, test } from 'vitest';
import { storeUnavailable } from '../../src/base/errors.ts';
import { dailyKeys } from '../../src/endpoint/request-state-keys.ts';
import { stateKey } from '../../src/base/protocol/request-state.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createStoreKit } from '../stores/contract/store-kit.ts';
import type { Store } from '../../src/stores/store.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { createAskingServer } from '../kit/asking-server.ts';
import { callModern } from '../kit/modern.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

const HOUR_MS = 3_600_000;

/** Views of one store. */
function opener(time = createFakeTime()) {
  const store = memory();
  const kit = createStoreKit({ connect: () => store, time, pass: (ms) => time.advance(ms) });
  onTestFinished(() => kit.close());
  return () => kit.open();
}

/** Keys of a store that is away at will. */
async function keysOf(store: { away: boolean }, now: () => number) {
  const view = await opener()();
  const secret = async (name: string, keepMs?: number): Promise<Uint8Array> => {
    if (store.away) throw new Error('away');
    return view.secret(name, keepMs);
  };
  return dailyKeys({ secret }, now);
}

test('instances share a fresh key each day; what was sealed yesterday, or by a clock that is ahead, still opens', async () => {
  const time = createFakeTime(Date.UTC(2026, 10, 1, 12));
  const open = opener(time);
  const here = dailyKeys(await open(), time.now);
  const ahead = dailyKeys(await open(), () => time.now() + 13 * HOUR_MS);
  const [today] = await here();
  const [tomorrow] = await ahead();
  expect(tomorrow).not.toEqual(today);
  expect(await here()).toContainEqual(tomorrow);
  expect(await ahead()).toContainEqual(today);
  expect(await here()).toBe(await here());

  await time.advance(24 * HOUR_MS);
  expect((await here())[0]).toEqual(tomorrow);
  expect(await here()).toContainEqual(today);
  await time.advance(24 * HOUR_MS);
  expect(await here()).not.toContainEqual(today);
  expect(new Set((await here()).map(String)).size).toBe(3);
  // The store forgets the first key too, so no instance finds it later.
  await time.advance(24 * HOUR_MS * 3);
  const view = await open();
  const name = `request-state/${Math.floor(Date.UTC(2026, 10, 1) / (24 * HOUR_MS))}`;
  expect(stateKey(await view.secret(name))).not.toEqual(today);
});

test('an instance reads the keys before a request needs them', async () => {
  const inner = memory();
  const asked: string[] = [];
  const store: Store = {
    ...inner,
    async open(options) {
      const view = await inner.open(options);
      return { ...view, secret: (name, keepMs) => (asked.push(name), view.secret(name, keepMs)) };
    },
  };
  const { endpoint } = await serve(createEchoServer, { store });
  expect(endpoint.health().state).toBe('serving');
  expect(asked).toHaveLength(3);
});

test('the key of a day is known the day before: a store that is away at midnight closes nothing', async () => {
  const store = { away: false };
  let now = 0;
  const keys = await keysOf(store, () => now);
  await keys();
  store.away = true;
  now = 24 * HOUR_MS;
  const later = await keys();
  store.away = false;
  expect(later).toContainEqual((await keys())[0]);
  expect(await keys()).not.toEqual(later);
});

/** What is read when the instance joins, and by several requests after it. */
const AWAY_READS = 12;
const capabilities = { elicitation: { form: {} } };

/** `here` asks its client. Resolves with the answer of the same client at `there`. */
async function answeredAt(here: RawClient, there: RawClient): Promise<unknown> {
  const greet = { name: 'greet', arguments: { word: 'Hello' } };
  const { message: asked } = await callModern(here, 'tools/call', greet, { capabilities });
  const { requestState } = asked.result as { requestState: string };
  const inputResponses = { who: { action: 'accept', content: { name: 'Ada' } } };
  const again = { ...greet, inputResponses, requestState };
  return (await callModern(there, 'tools/call', again, { capabilities })).message.result;
}

const GREETED = { content: [{ text: 'Hello, Ada' }] };

describe.each(storeKinds)('on the store %s', (kind) => {
  test('what one instance seals for a client, any other opens, and none of another deployment', async () => {
    const connect = sharedStore(kind);
    const open = async (name: string) =>
      (await serve(createAskingServer, { store: connect(), deployment: name })).client();
    const [here, there, elsewhere] = [await open('mcp'), await open('mcp'), await open('other')];
    expect(await answeredAt(here, there)).toMatchObject(GREETED);
    expect(await answeredAt(here, elsewhere)).toBeUndefined();
  });
});

test('an instance that could not read the keys yet waits for the store, and then opens what another one sealed', async () => {
  const connect = sharedStore('sqlite');
  const inner = connect();
  let reads = 0;
  const away: Store = {
    ...inner,
    async open(options) {
      const view = await inner.open(options);
      const secret = async (name: string, keepMs?: number): Promise<Uint8Array> => {
        if (name.startsWith('request-state/') && reads++ < AWAY_READS)
          throw storeUnavailable('the test says so');
        return view.secret(name, keepMs);
      };
      return { ...view, secret };
    },
  };
  const [here, there] = [
    await serve(createAskingServer, { store: connect() }),
    await serve(createAskingServer, { store: away }),
  ];
  expect(await answeredAt(here.client(), there.client())).toMatchObject(GREETED);
  expect(reads).toBeGreaterThan(AWAY_READS);
});
