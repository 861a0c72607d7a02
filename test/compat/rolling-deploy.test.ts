/** Another build beside this one on the same store, both ways: what a rolling deploy is made of. */
import { describe, expect, test } from 'vitest';
import { deployment, kill } from '../cli/deployment.ts';
import { say, textOf } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { dist } from '../cli/cli-process.ts';
import { inMatrix } from '../kit/matrix.ts';
import { durableKinds, sharedDeployment, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { newerBuild } from './builds.ts';

useSharedStores();

const pairs = [
  { owning: 'a newer build', relaying: 'this build', builds: () => [newerBuild(), dist] as const },
  { owning: 'this build', relaying: 'a newer build', builds: () => [dist, newerBuild()] as const },
];
/** Each way on one store; in the matrix each on all. */
const cases = pairs.flatMap((pair, at) =>
  inMatrix(durableKinds, [durableKinds[at % durableKinds.length] ?? 'sqlite']).map((kind) => ({ ...pair, kind })),
);

describe.each(cases)('a session that $owning owns and $relaying relays to, on $kind', ({ kind, builds }) => {
  test('is served, taken over with its log and its running calls, and ended everywhere', async () => {
    const [owning, relaying] = builds();
    const { start, happened } = deployment(sharedDeployment(kind));
    const owner = await start({}, owning);
    const other = await start({ ANSWERS: 'yes' }, relaying);
    const near = openClient(owner.url);
    await near.initialize({ protocolVersion: '2025-11-25', capabilities: { elicitation: { form: {} } } });
    const client = openClient(other.url, { of: near });
    await client.call('tools/list');
    expect(await say(client, 'count')).toBe('1 restored false');

    const get = await client.get();
    await get.next();
    await near.call('tools/call', { name: 'announce', arguments: {} });
    expect(await get.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });

    const asking = await client.post({ jsonrpc: '2.0', id: 'ask', method: 'tools/call', params: { name: 'ask' } });
    const question = (await asking.nextMessage()) as { id: string; method: string };
    expect(question.method).toBe('elicitation/create');
    const result = { action: 'accept', content: { colour: 'blue' } };
    expect((await client.post({ jsonrpc: '2.0', id: question.id, result })).status).toBe(202);
    expect(textOf(await asking.nextMessage())).toBe('blue');

    const running = await Promise.all(
      ['look', 'pay'].map(async (name) => {
        const stream = await client.post({ jsonrpc: '2.0', id: name, method: 'tools/call', params: { name } });
        await until(() => happened().includes(name), { what: `${name} to run` });
        return stream;
      }),
    );
    const [looking, paying] = running;
    const beside = await near.post({ jsonrpc: '2.0', id: 'beside', method: 'tools/call', params: { name: 'look' } });
    const primed = await beside.next();
    await kill(owner.cli);
    expect(textOf(await looking?.nextMessage())).toBe('look done');
    expect(await paying?.nextMessage()).toMatchObject({ error: { data: { reason: 'owner_lost', mayHaveRun: true } } });
    // Its own connection went with the owner: what the older owner logged is read by the other.
    const resumed = await client.get({ lastEventId: primed?.id });
    expect(textOf(await resumed.nextMessage())).toBe('look done');
    expect(await say(client, 'count')).toBe('2 restored true');
    expect(happened().filter((name) => name === 'pay')).toEqual(['pay']);

    const again = openClient((await start({}, owning)).url, { of: client });
    expect(await say(again, 'count')).toBe('3 restored true');
    expect((await again.delete()).status).toBe(200);
    for (const gone of [again, client]) expect((await gone.call('ping')).response.status).toBe(404);
  });
});
