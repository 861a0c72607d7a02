/**
 * A drain that runs out of time, on stores that processes share: calls that may run twice run again at the next owner.
 */
import type { ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import { durableKinds, sharedStore, type DurableKind, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

useSharedStores();

const DEADLINE_MS = 200;
/** How long the second run of `look` takes: its client is there before it ends. The first run never ends by itself. */
const LOOK_MS = 200;

/** `a` owns the session. `look` is read-only, `hold` is not; both run when this returns. */
async function draining(kind: DurableKind, protocolVersion: string, via: 'owner' | 'other') {
  const runs: ServerContext[] = [];
  const labs = [0, 1].map(() =>
    createLab((server) => {
      server.registerTool('look', { annotations: { readOnlyHint: true } }, async (call) => {
        runs.push(call);
        if (runs.length === 1) await new Promise((done) => call.mcpReq.signal.addEventListener('abort', done));
        else await new Promise((done) => setTimeout(done, LOOK_MS));
        return { content: [{ type: 'text' as const, text: 'seen' }] };
      });
    }),
  );
  const settings = { store: sharedStore(kind), retryMs: 50 };
  const [a, b] = await serveFleet(2, settings, [], labs);
  const near = await a.openSession({ protocolVersion });
  const client = via === 'owner' ? near : b.join(near);
  await client.call('tools/list');
  const call = (name: string): Promise<RawResponse> => client.post(toolCall(name, name));
  const look = await call('look');
  await until(() => runs.length === 1, { what: 'look to run' });
  return { a, b, client, call, look, runs };
}

const messages = (stream: RawResponse): unknown[] => stream.events.flatMap(({ message }) => message ?? []);

describe.each(durableKinds)('a drain on %s that runs out of time', (kind) => {
  test('leaves a read-only call to the other instance: its client resumes, and has the result', async () => {
    const { a, b, client, look, runs } = await draining(kind, '2025-11-25', 'owner');
    expect(await a.endpoint.drain({ timeoutMs: DEADLINE_MS })).toEqual({ released: 1, interrupted: 1 });
    await look.untilEnd();
    expect([look.ending, messages(look)]).toEqual(['complete', []]);
    expect(runs[0]?.mcpReq.signal.aborted).toBe(true);
    const resumed: RawClient = b.join(client);
    const rest = await resumed.get({ lastEventId: look.lastId });
    await rest.untilEnd();
    expect(messages(rest)).toMatchObject([{ id: 'look', result: { content: [{ text: 'seen' }] } }]);
    expect(runs.length).toBe(2);
  });

  test.each(['2025-11-25', '2025-06-18'])(
    'answers it in the same response where its client is connected to the other instance (%s)',
    async (version) => {
      const { a, client, look, runs } = await draining(kind, version, 'other');
      expect(await a.endpoint.drain({ timeoutMs: DEADLINE_MS })).toEqual({ released: 1, interrupted: 1 });
      await look.untilEnd();
      expect(messages(look).map((message) => [(message as { id: unknown }).id, textOf(message)])).toEqual([
        ['look', 'seen'],
      ]);
      expect([look.ending, runs.length]).toEqual(['complete', 2]);
      expect((await client.call('ping')).message.result).toEqual({});
    },
  );

  test.each(['owner', 'other'] as const)('ends a call with effects with its error (client at the %s)', async (via) => {
    const { a, b, client, call, look } = await draining(kind, '2025-11-25', via);
    const held = await call('hold');
    await a.lab.held();
    expect(await a.endpoint.drain({ timeoutMs: DEADLINE_MS })).toEqual({ released: 1, interrupted: 2 });
    await held.untilEnd();
    expect(messages(held)).toMatchObject([
      { id: 'hold', error: { code: -32000, data: { reason: 'draining', mayHaveRun: true } } },
    ]);
    look.abort();
    expect((await b.join(client).call('ping')).message.result).toEqual({});
    expect([a.lab.holds.length, b.lab.holds.length]).toEqual([1, 0]);
  });
});
