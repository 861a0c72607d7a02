/** Progress of a call that the next owner runs again, and of a call whose response cannot be reached for a while. */
import { expect, onTestFinished, test } from 'vitest';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, say, textOf, toolCall } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

const STEPS = [1, 2, 3];

const progressOf = ({ events }: RawResponse): number[] =>
  events.flatMap(({ message }) => (message as { params?: { progress?: number } } | undefined)?.params?.progress ?? []);

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
    const [a, b] = await serveFleet(2, { store }, [{}, {}], [lab('a'), lab('b')]);
    const onA = await a.openSession({ protocolVersion });
    await onA.call('tools/list');
    const client = through === 'its owner' ? onA : b.join(onA);
    const response = await client.post(toolCall('steps-1', 'steps', {}, { progressToken: 'p' }));
    await until(() => said.a === STEPS.length);
    await store.views[0]?.instances.leave(a.id);
    expect(await say(b.join(onA), 'count')).toBe('1');
    // Its next write tells the former owner, which then ends its part of the relay.
    expect(await say(a.join(onA), 'count')).toBe('2');
    await response.untilEnd();
    expect(progressOf(response)).toEqual([...STEPS, ...STEPS]);
    expect(textOf(response.json())).toBe('done by b');
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
  const [a, b] = await serveFleet(2, { store }, [{}, {}], [lab('a'), lab('b')]);
  const onA = await a.openSession({ protocolVersion: '2025-11-25' });
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
  expect(progressOf(newer)).toEqual([1]);
  expect(textOf(newer.json())).toBe('done by b');
  expect(runs.map(({ at }) => at)).toEqual(['a', 'b']);
});

/** Messages that the handler sends while no instance is on the way to the client. */
const UNREACHED = 5;
const ANSWER_MS = 30_000;

test.each([
  { protocolVersion: '2025-11-25', kept: true },
  { protocolVersion: '2025-06-18', kept: true },
  { protocolVersion: '2025-06-18', kept: false },
])(
  // Two streams of a client have no order: later progress on the GET stream could be read before earlier progress here.
  'progress stays on the stream of its call while the relaying instance has no lease (%o)',
  async ({ protocolVersion, kept }) => {
    let sent = 0;
    let isOver = false;
    const lab = createLab((server) => {
      server.registerTool('steps', {}, async ({ mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken ?? '';
        for (let progress = 1; !isOver; progress++) {
          await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } });
          sent = progress;
          await new Promise((next) => setTimeout(next, 5));
        }
        return { content: [{ type: 'text', text: 'done' }] };
      });
    });
    const store = watchedStore({ durable: true, inProcess: false });
    const options = { store, leaseMs: 1_500, ...(!kept && { eventRetention: false as const }) };
    const [owner, relaying] = await serveFleet(2, options, [{}, {}], [lab]);
    const atOwner = await owner.openSession({ protocolVersion }, { timeoutMs: ANSWER_MS });
    const get = await atOwner.get();
    const client = relaying.join(atOwner, { timeoutMs: ANSWER_MS });
    const response = await client.post(toolCall('steps-1', 'steps', {}, { progressToken: 'p' }));
    await until(() => progressOf(response).length >= 3);

    const dead = relaying.id;
    const announced = gate();
    store.before['instances.announce'] = announced.hook;
    store.calls.length = 0;
    await store.views[1]?.instances.leave(dead);
    // The owner hears nothing, reads the lease, and lets go of the exchange.
    const given = (): boolean => store.calls.some(({ call, args }) => call === 'instances.read' && args[0] === dead);
    await until(() => given() && announced.waiting === 1, { timeoutMs: ANSWER_MS });
    const before = sent;
    await until(() => sent >= before + UNREACHED);
    announced.open();
    const back = sent;
    await until(() => (progressOf(response).at(-1) ?? 0) > back, { timeoutMs: ANSWER_MS });
    isOver = true;
    await response.untilEnd();

    expect(textOf(response.json() as object)).toBe('done');
    const came = progressOf(response);
    if (kept) expect(came).toEqual(Array.from({ length: sent }, (_, n) => n + 1));
    else expect(came).toEqual([...new Set(came)].sort((a, b) => a - b));
    expect(came.length).toBeLessThan(kept ? sent + 1 : sent);
    await atOwner.delete();
    await get.untilEnd();
    expect(progressOf(get)).toEqual([]);
  },
);
