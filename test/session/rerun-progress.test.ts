/** Progress of a call that the next owner runs again, on the response that its client is reading. */
import { expect, onTestFinished, test } from 'vitest';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

const STEPS = [1, 2, 3];

test.each([
  ['2025-11-25', 'its owner'],
  ['2025-11-25', 'another instance'],
  ['2025-06-18', 'another instance'],
])(
  'progress of a call that runs again begins anew, behind all progress of the lost run (%s, through %s)',
  async (protocolVersion, through) => {
    const said = { a: 0, b: 0 };
    const lab = (at: 'a' | 'b') =>
      createLab((server) => {
        server.registerTool('steps', { annotations: { readOnlyHint: true } }, async ({ mcpReq }) => {
          const progressToken = mcpReq._meta?.progressToken ?? '';
          for (const progress of STEPS) {
            await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } });
            said[at] += 1;
          }
          if (at === 'a') await new Promise(() => {});
          return { content: [{ type: 'text', text: `done by ${at}` }] };
        });
      });
    const store = watchedStore({ durable: true, inProcess: false });
    const [a, b] = (await serveFleet(2, { store }, [{}, {}], [lab('a'), lab('b')])) as [Member, Member];
    const onA = a.client();
    await onA.initialize({ protocolVersion });
    await onA.call('tools/list');
    const client = through === 'its owner' ? onA : b.join(onA);
    const response = await client.post(toolCall('steps-1', 'steps', {}, { progressToken: 'p' }));
    await until(() => said.a === STEPS.length);
    await store.views[0]?.instances.leave(a.id);
    expect(textOf((await b.join(onA).call(...tool('count'))).message)).toBe('1');
    // Its next write tells the former owner, which then ends its part of the relay.
    expect(textOf((await a.join(onA).call(...tool('count'))).message)).toBe('2');
    await response.untilEnd();
    const messages = response.events.flatMap(({ message }) => message ?? []);
    const progress = messages.flatMap(
      (message) => (message as { params?: { progress?: number } }).params?.progress ?? [],
    );
    expect(progress).toEqual([...STEPS, ...STEPS]);
    expect(textOf(messages.at(-1) as object)).toBe('done by b');
    const ids = response.events.flatMap(({ id, message }) => (message === undefined ? [] : [id]));
    expect(new Set(ids).size).toBe(ids.length);
    expect(said).toEqual({ a: 3, b: 3 });
  },
);

test('a client that resumes such a call and also sends it again gets each message once in the newer response', async () => {
  const ends = gate();
  onTestFinished(() => ends.open());
  const runs: Array<{ at: string; step(progress: number): Promise<void> }> = [];
  const lab = (at: string) =>
    createLab((server) => {
      server.registerTool('steps', { annotations: { readOnlyHint: true } }, async ({ mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken ?? '';
        const step = (progress: number) =>
          mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } });
        runs.push({ at, step });
        if (at === 'a') await new Promise(() => {});
        await ends.hook();
        return { content: [{ type: 'text', text: `done by ${at}` }] };
      });
    });
  const store = watchedStore({ durable: true, inProcess: false });
  const [a, b] = (await serveFleet(2, { store }, [{}, {}], [lab('a'), lab('b')])) as [Member, Member];
  const onA = a.client();
  await onA.initialize({ protocolVersion: '2025-11-25' });
  await onA.call('tools/list');
  const call = toolCall('steps-1', 'steps', {}, { progressToken: 'p' });
  const { id: lastEventId } = await (await onA.post(call)).next();
  await until(() => runs.length === 1);
  await store.views[0]?.instances.leave(a.id);
  const client = b.join(onA);
  await client.call('ping');
  await until(() => runs.length === 2);
  const reads = gate();
  store.after['sessions.replay'] = reads.hook;
  const resumed = client.get({ lastEventId });
  await until(() => reads.waiting === 1);
  const again = client.post(call);
  // The server has both requests by then.
  await client.call('ping');
  await runs[1]?.step(1);
  reads.open();
  await resumed;
  const newer = await again;
  ends.open();
  await newer.untilEnd();
  const messages = newer.events.flatMap(({ message }) => message ?? []) as Array<{ params?: { progress?: number } }>;
  expect(messages.flatMap((message) => message.params?.progress ?? [])).toEqual([1]);
  expect(textOf(messages.at(-1) as object)).toBe('done by b');
  expect(runs.map(({ at }) => at)).toEqual(['a', 'b']);
});
