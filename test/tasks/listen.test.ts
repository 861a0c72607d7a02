/** A `subscriptions/listen` that asks for notifications about tasks. There are none: clients poll. */
import { expect, test } from 'vitest';
import { callModern, postModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { CAPABILITIES, Effects, EXTENSION, taskServer } from './kit.ts';

const ASKED = { notifications: { toolsListChanged: true, taskIds: ['one'] } };

test('a client that does not declare the extension is refused', async () => {
  const { client } = await serve(taskServer(new Effects()), { tasks: true });
  const { response, message } = await callModern(client(), 'subscriptions/listen', ASKED);
  expect(response.status).toBe(400);
  expect(message.error).toMatchObject({
    code: -32021,
    data: { requiredCapabilities: { extensions: { [EXTENSION]: {} } } },
  });
});

test.each([
  ['that declares it', { tasks: true }, ASKED, CAPABILITIES],
  ['that names no task', { tasks: true }, { notifications: { toolsListChanged: true } }, {}],
  ['of an endpoint without tasks', {}, ASKED, {}],
] as const)('a client %s is acknowledged, without tasks', async (_, options, asked, capabilities) => {
  const { client } = await serve(taskServer(new Effects()), options);
  const response = await postModern(client(), 'subscriptions/listen', asked, { capabilities });
  expect(await response.nextMessage()).toMatchObject({
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: { toolsListChanged: true } },
  });
  response.abort();
});
