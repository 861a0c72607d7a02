import { describe, expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import type { Store } from '../../src/stores/store.ts';
import { createAskingServer } from '../kit/asking-server.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

/** What is read when the instance joins, and by several requests after it. */
const AWAY_READS = 12;
const greet = { name: 'greet', arguments: { word: 'Hello' } };
const capabilities = { elicitation: { form: {} } };
const inputResponses = { who: { action: 'accept', content: { name: 'Ada' } } };

describe.each(storeKinds)('on the store %s', (kind) => {
  test('what one instance seals for a client, any other opens, and none of another deployment', async () => {
    const connect = sharedStore(kind);
    const [here, there, elsewhere] = await Promise.all(
      ['mcp', 'mcp', 'other'].map(async (name) =>
        (await serve(createAskingServer, { store: connect(), name })).client(),
      ),
    );
    if (here === undefined || there === undefined || elsewhere === undefined) throw new Error('three were served');
    const { message: asked } = await callModern(here, 'tools/call', greet, { capabilities });
    const { requestState } = asked.result as { requestState: string };
    const again = { ...greet, inputResponses, requestState };
    const { message } = await callModern(there, 'tools/call', again, { capabilities });
    expect(message.result).toMatchObject({ content: [{ type: 'text', text: 'Hello, Ada' }] });
    const refused = await callModern(elsewhere, 'tools/call', again, { capabilities });
    expect(refused.message.result).toBeUndefined();
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
        if (name.startsWith('request-state/') && reads++ < AWAY_READS) throw storeAway('the test says so');
        return view.secret(name, keepMs);
      };
      return { ...view, secret };
    },
  };
  const [here, there] = await Promise.all(
    [connect(), away].map(async (store) => (await serve(createAskingServer, { store })).client()),
  );
  if (here === undefined || there === undefined) throw new Error('two were served');
  const { message: asked } = await callModern(here, 'tools/call', greet, { capabilities });
  const { requestState } = asked.result as { requestState: string };
  const again = { ...greet, inputResponses, requestState };
  const { message } = await callModern(there, 'tools/call', again, { capabilities });
  expect(message.result).toMatchObject({ content: [{ type: 'text', text: 'Hello, Ada' }] });
  expect(reads).toBeGreaterThan(AWAY_READS);
});
