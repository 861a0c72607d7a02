/** Resumes wait for each other, and not for what clients make the instance keep. */
import { expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { createLab, toolCall } from '../../kit/lab.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';

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
  expect(await resumed.nextMessage()).toMatchObject({
    id: 1,
    result: { content: [{ text: 'missed' }] },
  });
  for (const hold of lab.holds.slice(1)) hold.answer('done');
});

/** Resumes that wait for the store until `reading` opens. `resume`: a client of this user comes back to its GET stream. */
async function resuming(options: McpEndpointOptions) {
  const store = watchedStore();
  const reading = gate();
  store.before['sessions.replay'] = reading.hook;
  const served = await serve(
    createLab().factory,
    { ...options, store },
    { face: 'node', auth: userHeader },
  );
  const left = async (user: string) => {
    const client = served.client({ headers: { 'x-user': user } });
    await client.initialize();
    const get = await client.get();
    const { id: lastEventId = '' } = await get.next();
    get.abort();
    return () => client.get({ lastEventId });
  };
  return { reading, left };
}

test('one resume of an instance at a time where half of the memory has room for one; the next gets its head meanwhile', async () => {
  const { reading, left } = await resuming({
    limits: { memoryBytes: 8 * MIB },
    eventRetention: { bytes: MIB },
  });
  const [eve, bob] = [await left('eve'), await left('bob')];
  const first = eve();
  await until(() => reading.waiting === 1);
  const next = await bob();
  expect([(await next.next()).data, reading.waiting]).toEqual(['', 1]);
  reading.open();
  expect((await (await first).next()).data).toBe('');
  expect((await next.next()).data).toBe('');
});

test('a user holds half of the places that the others leave free', async () => {
  const { reading, left } = await resuming({});
  const [bob, ...eve] = await Promise.all([
    left('bob'),
    ...Array.from({ length: 10 }, () => left('eve')),
  ]);
  const resumed = eve.map((resume) => resume());
  await until(() => reading.waiting === 8);
  resumed.push(bob());
  await until(() => reading.waiting === 9);
  reading.open();
  for (const stream of await Promise.all(resumed)) expect((await stream.next()).data).toBe('');
});
