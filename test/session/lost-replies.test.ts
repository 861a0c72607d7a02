/** The store takes the first write of a call and its reply is lost: the client repeats the call, and the owner may die then. */
import { describe, expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import { serveMember, type Member } from '../kit/fleet.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { durableKinds, sharedStore } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { refusalOf } from '../kit/refusals.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

/** `look` may run twice; it says which of the runs here it is. */
async function served(connect: ReturnType<typeof sharedStore>) {
  const store = watchedStore({ durable: true, inProcess: false, inner: connect() });
  let runs = 0;
  const held = gate();
  const lab = createLab((server) => {
    server.registerTool('look', { annotations: { readOnlyHint: true } }, async () => {
      const run = (runs += 1);
      await held.hook();
      return { content: [{ type: 'text', text: `run ${run}` }] };
    });
  });
  const member: Member = await serveMember({ store, waitMs: 0 }, {}, lab);
  return { ...member, join: member.join, id: member.id, store, runs: () => runs, letAnswer: () => held.open() };
}

describe.each(durableKinds)('on %s', (kind) => {
  test('the next owner runs the repeated call once more and ends the stream of the first try', async () => {
    const connect = sharedStore(kind);
    const one = await served(connect);
    const two = await served(connect);
    const client = one.client();
    await client.initialize();
    await client.call('tools/list');
    const [method, params] = tool('look');
    const request = { jsonrpc: '2.0', id: 'again', method, params };

    one.store.after['events.append'] = () => Promise.reject(storeAway('its reply was lost'));
    expect(refusalOf(await client.post(request), 'again')).toBe('store_away');
    delete one.store.after['events.append'];
    const repeated = await client.post(request);
    const primed = await repeated.next();
    expect(one.runs()).toBe(2);

    // What a crash leaves: no lease, and a record that names its owner.
    await one.store.views[0]?.instances.leave(one.id);
    two.letAnswer();
    const resumed = await two.join(client).get({ lastEventId: primed.id });
    await resumed.untilEnd();
    expect(resumed.events.flatMap(({ message }) => (message === undefined ? [] : [textOf(message)]))).toEqual([
      'run 1',
    ]);
    expect(two.runs()).toBe(1);
    const id = client.sessionId ?? '';
    await until(async () => (await two.store.views[0]?.events.open(id))?.length === 0);
    // Whoever comes for the first try is told, too.
    const first = primed.id?.replace(
      /-p1x[0-9a-z]+-/,
      (key) => `-p1x${(parseInt(key.slice(4, -1), 33) - 1).toString(33)}-`,
    );
    const lost = await two.join(client).get({ lastEventId: first });
    await lost.untilEnd();
    expect(lost.events.at(-1)?.message).toMatchObject({
      id: 'again',
      error: { code: -32000, data: { reason: 'owner_lost', mayHaveRun: true } },
    });
  });
});
