/** Tools that need more before they can answer (multi round-trip requests), for clients of both eras. */
import { inputRequired } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import { createAskingServer } from '../kit/asking-server.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { perFace } from '../kit/sessions.ts';

interface Asked {
  resultType: string;
  inputRequests: Record<string, unknown>;
  requestState: string;
}

const greet = { name: 'greet', arguments: { word: 'Hello' } };
const question = {
  message: 'Who is there?',
  requestedSchema: { type: 'object' as const, properties: { name: { type: 'string' as const } } },
};
const form = { elicitation: { form: {} } };
const ada = { who: { action: 'accept', content: { name: 'Ada' } } };

async function ask(client: RawClient): Promise<Asked> {
  const { message } = await callModern(client, 'tools/call', greet, { capabilities: form });
  return message.result as Asked;
}

/** Another character in the middle. */
function tampered(state: string): string {
  const middle = Math.floor(state.length / 2);
  return `${state.slice(0, middle)}${state[middle] === 'A' ? 'B' : 'A'}${state.slice(middle + 1)}`;
}

describe.each(perFace)('over $face', ({ serve }) => {
  const open = async () => (await serve(createAskingServer)).client();

  test('a request for roots has params, which the Go SDK cannot read it without', async () => {
    const asking = toolServer({
      roots: () =>
        inputRequired({
          inputRequests: { roots: inputRequired.listRoots(), who: inputRequired.elicit(question) },
        }),
    });
    const { client } = await serve(asking);
    const capabilities = { roots: {}, ...form };
    const { message } = await callModern(
      client(),
      'tools/call',
      { name: 'roots', arguments: {} },
      { capabilities },
    );
    const { inputRequests } = message.result as Asked;
    expect(inputRequests).toEqual({
      roots: { method: 'roots/list', params: {} },
      who: {
        method: 'elicitation/create',
        params: expect.objectContaining({ message: question.message }),
      },
    });
  });

  test('B140 a call that needs more is answered with what it needs, and is complete when called again with it', async () => {
    const client = await open();
    const { id, response, message } = await callModern(client, 'tools/call', greet, {
      capabilities: form,
    });
    expect(response.status).toBe(200);
    const { resultType, inputRequests, requestState } = message.result as Asked;
    expect([message.id, resultType]).toEqual([id, 'input_required']);
    expect(inputRequests).toMatchObject({
      who: {
        method: 'elicitation/create',
        params: {
          mode: 'form',
          message: 'Who is there?',
          requestedSchema: {
            type: 'object',
            properties: { name: { type: 'string' } },
            required: ['name'],
          },
        },
      },
    });
    const again = await callModern(
      client,
      'tools/call',
      { ...greet, inputResponses: ada, requestState },
      { capabilities: form },
    );
    expect(again.response.status).toBe(200);
    expect(again.message.result).toMatchObject({
      resultType: 'complete',
      content: [{ type: 'text', text: 'Hello, Ada' }],
    });
  });

  test('B140 a state that was tampered with is refused in a 200', async () => {
    const client = await open();
    const { requestState } = await ask(client);
    const { id, response, message } = await callModern(
      client,
      'tools/call',
      { ...greet, inputResponses: ada, requestState: tampered(requestState) },
      { capabilities: form },
    );
    expect(response.status).toBe(200);
    expect(message).toMatchObject({ jsonrpc: '2.0', id, error: { code: -32602 } });
    expect(message.result).toBeUndefined();
  });

  test.each([
    ['nothing', {}, greet, { elicitation: { form: {} } }],
    ['something else', { sampling: {}, roots: {} }, greet, { elicitation: { form: {} } }],
    ['forms alone', form, { name: 'visit', arguments: {} }, { elicitation: { url: {} } }],
  ])(
    'B137 B141 B219 a client that declares %s on this request is not asked for more',
    async (_, capabilities, call, requiredCapabilities) => {
      const client = await open();
      // What another request declared counts for nothing.
      expect(await ask(client)).toMatchObject({ resultType: 'input_required' });
      const { id, response, message } = await callModern(client, 'tools/call', call, {
        capabilities,
      });
      expect(response.status).toBe(400);
      expect(message).toMatchObject({
        id,
        error: { code: -32021, data: { requiredCapabilities } },
      });
    },
  );
});

test('B142 without a session no client can be asked, and the result says so', async () => {
  const { client } = await serve(createAskingServer, { stateless: true });
  const { response, message } = await client().call('tools/call', greet);
  expect(response.status).toBe(200);
  expect(message.result).toMatchObject({
    isError: true,
    content: [{ type: 'text', text: expect.stringContaining('per-request legacy serving cannot') }],
  });
});
