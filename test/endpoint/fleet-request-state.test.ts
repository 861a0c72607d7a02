import { describe, expect, test } from 'vitest';
import { createAskingServer } from '../kit/asking-server.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

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
