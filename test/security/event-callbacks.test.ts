/** What a client can make an endpoint send where: private addresses, names that change theirs, floods. */
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { isPublic } from '../../src/durable/events/public-address.ts';
import { createPost } from '../../src/durable/events/webhook.ts';
import { systemTime } from '../../src/base/system.ts';
import { ask, eventsOf, newSecret, openCallbacks, subscription } from '../kit/callback.ts';
import { serveFleet } from '../kit/fleet.ts';
import { userHeader } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const NODE = { face: 'node', auth: userHeader } as const;

const PRIVATE =
  '0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.168.1.1 198.18.0.1 224.0.0.1 ' +
  '255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:a00:1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: fc00::1 fe80::1 fec0::1 ff02::1';

test.each(PRIVATE.split(' '))('%s is no address of a callback', (address) => {
  expect(isPublic(address)).toBe(false);
});
test.each('1.1.1.1 100.128.0.1 172.32.0.1 192.167.0.1 2606:4700::1111 ::ffff:1.1.1.1'.split(' '))(
  '%s is one',
  (address) => expect(isPublic(address)).toBe(true),
);

test('B273 a name that changes its address to a private one reaches nothing', async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const answers = [['127.0.0.1'], ['::ffff:127.0.0.1', '10.0.0.1'], ['169.254.169.254']];
  let asked = 0;
  const post = createPost(systemTime, (_name, _options, callback) => {
    const found = answers[asked++ % answers.length] ?? [];
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  });
  const url = new URL(`https://rebinding.example:${port}/`);
  const message = { id: 'i', subscription: 's', body: '{}' };
  for (let n = 0; n < 6; n++) {
    const request = { url, message, secrets: [newSecret()], now: Date.now(), isTrusted: false };
    expect(await post(request)).toEqual({ ok: false, why: 'connection_refused' });
  }
  expect([asked, connections]).toEqual([6, 0]);
});

test('B273 a redirect is not followed, and a long answer is not read', async () => {
  const [a] = await serveFleet(1, eventsOf({ note: {} }), [NODE]);
  const callbacks = await openCallbacks();
  const [from, to] = [callbacks.path('from'), callbacks.path('to')];
  from.location = to.url;
  await ask(a.client(), 'subscribe', subscription(from.url), 'ann');
  from.status = 307;
  await a.endpoint.emit('note', { text: 'x' });
  await until(() => from.posts >= 3);
  expect(to.posts).toBe(0);
  to.padding = 1_048_576;
  const { error } = await ask(a.client(), 'subscribe', subscription(to.url), 'bob');
  expect(error.data).toEqual({ reason: 'challenge_failed' });
});

test('a user makes an endpoint send so many challenges a minute, and others subscribe all the same', async () => {
  const limits = { perUser: { eventSubscriptions: 1_000 } };
  const [a] = await serveFleet(1, { ...eventsOf({ note: {} }), limits }, [NODE]);
  const callbacks = await openCallbacks();
  const client = a.client();
  const refused: unknown[] = [];
  for (let n = 0; n < 62; n++) {
    const { error } = await ask(
      client,
      'subscribe',
      subscription(callbacks.path(`p${n}`).url),
      'ann',
    );
    if (error !== undefined) refused.push(error.data);
  }
  expect(refused).toEqual([1, 2].map(() => ({ limit: 'challenges', max: 60 })));
  const { result } = await ask(client, 'subscribe', subscription(callbacks.path('bob').url), 'bob');
  expect(result['id']).toMatch(/^sub_/);
});
