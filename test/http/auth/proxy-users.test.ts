/** `auth.trustedProxyUser`: the address of the socket decides, and no header does. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporaryFolder } from '../../kit/temporary.ts';
import { createLab, say } from '../../kit/lab.ts';
import { serve, type Face } from '../../kit/serve.ts';

const HERE = ['127.0.0.0/8', '::1'];
const open = (from: readonly string[], face: Face = 'listen') =>
  serve(
    createLab().factory,
    { auth: { trustedProxyUser: { header: 'X-Forwarded-User', from } } },
    { face },
  );
const as = (user: string, more: Record<string, string> = {}) => ({
  headers: { 'x-forwarded-user': user, ...more },
});

test.each<Face>(['listen', 'node'])('over %s a proxy names the user of a session', async (face) => {
  const { client } = await open(HERE, face);
  const ada = client(as('ada'));
  expect((await ada.initialize()).response.status).toBe(200);
  expect(await say(ada, 'who')).toContain('ada');
  expect((await ada.call('ping', {}, as('bob'))).response.status).toBe(403);
});

test('a request from elsewhere is 401, whatever its headers say', async () => {
  const { client } = await open(['10.0.0.0/8']);
  for (const headers of [
    {},
    { 'x-forwarded-for': '10.0.0.1' },
    { forwarded: 'for=10.0.0.1' },
    { 'x-real-ip': '10.1.1.1' },
  ]) {
    expect((await client(as('ada', headers)).initialize()).response.status).toBe(401);
  }
});

test("a request that names no user is 401, and a client's own field beside the proxy's is too", async () => {
  const { client } = await open(HERE);
  for (const user of [null, '', 'u'.repeat(2_000), ['ada', 'bob']])
    expect(
      (await client({ headers: { 'x-forwarded-user': user } }).initialize()).response.status,
    ).toBe(401);
});

test('a Unix socket has no address: every request is 401, and one log line says why', async () => {
  const { endpoint, log } = await open(HERE);
  const server = createServer(endpoint.node);
  const socketPath = join(temporaryFolder(), 's');
  await once(server.listen(socketPath), 'listening');
  onTestFinished(() => void server.close());
  for (const user of ['ada', 'bob']) {
    const sent = request({
      socketPath,
      path: '/mcp',
      method: 'POST',
      headers: as(user).headers,
      agent: false,
    }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    expect(response.resume().statusCode).toBe(401);
  }
  expect(
    log.matching(/trustedProxyUser .* a Unix socket has none, .* connect to 127\.0\.0\.1/, 'warn'),
  ).toHaveLength(1);
});

test('the fetch face has no socket: every request is 401, and one log line says why', async () => {
  const { client, log } = await open(HERE, 'fetch');
  for (const user of ['ada', 'bob'])
    expect((await client(as(user)).initialize()).response.status).toBe(401);
  expect(log.matching(/trustedProxyUser needs the address of the socket/, 'warn')).toHaveLength(1);
});
