import { describe, expect, test } from 'vitest';
import { createEchoServer } from './echo-server.ts';
import { faces, serve, userHeader } from './serve.ts';

describe.each(['listen', ...faces] as const)('the face %s', (face) => {
  test('serves a session', async () => {
    const client = (await serve(createEchoServer, {}, { face })).client();
    await client.initialize();
    const { message } = await client.call('tools/call', { name: 'echo', arguments: { text: 'hello' } });
    expect(message.result).toEqual({ content: [{ type: 'text', text: 'hello' }] });
  });
});

test.each(faces)('the face %s passes on who asks', async (face) => {
  const users: unknown[] = [];
  const { client } = await serve(
    (ctx) => {
      users.push(ctx.session?.user);
      return createEchoServer();
    },
    {},
    { face, auth: userHeader },
  );
  await client({ headers: { 'x-user': 'alice' } }).initialize();
  expect(users).toEqual(['["sub","","alice"]']);
});
