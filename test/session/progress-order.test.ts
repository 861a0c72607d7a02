/**
 * Progress of a call while its response cannot be reached: it stays on the stream of its call. Two streams of a client
 * have no order, so later progress on the GET stream could be read before earlier progress of the call's stream.
 */
import { expect, test } from 'vitest';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

/** Messages that the handler sends while no instance is on the way to the client. */
const UNREACHED = 5;
const ANSWER_MS = 30_000;

const progressOf = ({ events }: RawResponse): number[] =>
  events.flatMap(({ message }) => (message as { params?: { progress?: number } } | undefined)?.params?.progress ?? []);

test.each([
  { protocolVersion: '2025-11-25', kept: true },
  { protocolVersion: '2025-06-18', kept: true },
  { protocolVersion: '2025-06-18', kept: false },
])(
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
    const [owner, relaying] = (await serveFleet(2, options, [{}, {}], [lab])) as [Member, Member];
    const atOwner = owner.client({ timeoutMs: ANSWER_MS });
    await atOwner.initialize({ protocolVersion });
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
  60_000,
);
