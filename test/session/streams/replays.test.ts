/** Resumes wait for each other, and not for what clients make the instance keep. */
import { expect, test } from 'vitest';
import type { CallerRequest } from '../../../src/http/exchange.ts';
import { resolveOptions } from '../../../src/options/resolve.ts';
import { Replays } from '../../../src/session/streams/replays.ts';
import { createFakeTime } from '../../../src/testing/index.ts';
import { createLab, toolCall } from '../../kit/lab.ts';
import { serve, userHeader } from '../../kit/serve.ts';

const MIB = 1_048_576;

test('a resume is served while other users fill the memory budget, and takes no room from requests', async () => {
  const lab = createLab();
  const limits = { memoryBytes: 8 * MIB };
  const { client } = await serve(
    lab.factory,
    { limits, eventRetention: { bytes: MIB } },
    { face: 'node', auth: userHeader },
  );
  const as = (user: string) => client({ headers: { 'x-user': user } });
  const bob = as('bob');
  await bob.initialize();
  const cut = await bob.post(toolCall(1, 'hold'));
  const { id } = await cut.next();
  cut.abort();
  (await lab.held()).answer('missed');

  // Each within its share; more than half of the budget together.
  for (let n = 1; n <= 4; n++) {
    const other = as(`user ${n}`);
    await other.initialize();
    void other.post(toolCall(n, 'hold', {}, { padding: 'x'.repeat(320_000) })).catch(() => {});
    await lab.held(n);
  }
  const resumed = await bob.get({ lastEventId: id });
  expect(await resumed.nextMessage()).toMatchObject({ id: 1, result: { content: [{ text: 'missed' }] } });
  for (const hold of lab.holds.slice(1)) hold.answer('done');
});

/** A client whose stream has room when `free` is called. */
function relayed(user: string) {
  let free: () => void = () => {};
  const room = new Promise<void>((resolve) => (free = resolve));
  const client = { user, onClose: () => {}, relayOrigin: { room: () => room } } as unknown as CallerRequest;
  return { client, free };
}

test('one replay of an instance at a time where half of the memory has room for one, and the users take turns', async () => {
  const replays = new Replays(resolveOptions({ timeProvider: createFakeTime(), limits: { memoryBytes: 8 * MIB } }));
  const order: string[] = [];
  const begin = async (session: string, user: string) => {
    const { client, free } = relayed(user);
    const end = await replays.begin(client, () => {});
    order.push(session);
    return () => {
      end?.();
      free();
    };
  };
  const first = await begin('eve 1', 'eve');
  const waiting = [begin('eve 2', 'eve'), begin('eve 3', 'eve'), begin('bob 1', 'bob')];
  expect(order).toEqual(['eve 1']);
  first();
  for (const next of [waiting[0], waiting[2], waiting[1]]) (await next)?.();
  expect(order).toEqual(['eve 1', 'eve 2', 'bob 1', 'eve 3']);
});
