/** What users of the official clients see of a `tools/call` that may have run and has no result (`lostCalls`). */
import { describe, expect, test } from 'vitest';
import type { LostCalls } from '../../src/index.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { createLab } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { connectNegotiating, sessionClients, type OfficialClient } from './official.ts';

type Seen = { readonly isError?: boolean; readonly text: string; readonly told?: unknown };

/** How the call ends for its user: a result, or the error that the client throws. */
async function seen(call: ReturnType<OfficialClient['callTool']>): Promise<Seen> {
  try {
    const { isError = false, content, _meta } = await call;
    return { isError, text: content?.[0]?.text ?? '', told: _meta?.['sojourn/error'] };
  } catch (error) {
    return { text: (error as Error).message };
  }
}

const REASONS = {
  endpoint_closed: (member: Member) => member.endpoint.close({ timeoutMs: 0 }),
  draining: (member: Member) => member.endpoint.drain({ timeoutMs: 0 }),
  session_ended: (member: Member) => member.lab.made[0]?.server.close(),
};

describe.each(sessionClients)('the %s client', (_name, connect) => {
  /** The client calls `b`; its session is live at `a`, which can crash. */
  const pair = async (lostCalls?: LostCalls) => {
    const store = watchedStore();
    const [a, b] = await serveFleet(2, { store, retryMs: 5, ...(lostCalls && { lostCalls }) });
    const route = { url: a.url };
    const client = await connect(a.url, { route: () => route.url });
    return { store, a, b, client, route };
  };

  test.each(Object.keys(REASONS) as Array<keyof typeof REASONS>)(
    "with 'result' reads the reason %s as the result of a tool that failed",
    async (reason) => {
      const { a, client } = await pair('result');
      const call = seen(client.callTool('hold'));
      await a.lab.held();
      await REASONS[reason](a);
      expect(await call).toEqual({
        isError: true,
        text: expect.stringContaining('may have run'),
        told: { code: -32_000, data: { reason, mayHaveRun: true } },
      });
    },
  );

  test("with 'result' reads that the owner of its session is lost, also through another instance", async () => {
    const { store, a, b, client, route } = await pair('result');
    const call = seen(client.callTool('hold'));
    await a.lab.held();
    await store.views[0]?.instances.leave(a.id);
    route.url = b.url;
    await client.client.ping();
    // Its copy at `a` learns that it is not the owner any more.
    route.url = a.url;
    await client.client.ping();
    const told = { code: -32_000, data: { reason: 'owner_lost', mayHaveRun: true } };
    expect(await call).toEqual({
      isError: true,
      text: expect.stringContaining('may have run'),
      told,
    });
    expect(b.lab.holds.length).toBe(0);
  });

  test('of a tool that may run twice it gets the answer of the next owner after a drain, also if it never listed it', async () => {
    const runs: Array<{ readonly signal: AbortSignal; answer(): void }> = [];
    const lab = (at: string) =>
      createLab((server) => {
        server.registerTool(
          'look',
          { annotations: { readOnlyHint: true } },
          async ({ mcpReq: { signal } }) => {
            await new Promise<void>((answer) => runs.push({ signal, answer }));
            return { content: [{ type: 'text', text: `seen by ${at}` }] };
          },
        );
      });
    const options = { store: watchedStore({ durable: true }), retryMs: 5 };
    const [a, b] = await serveFleet(2, options, [{}, {}], [lab('a'), lab('b')]);
    const route = { url: a.url };
    const client = await connect(a.url, { route: () => route.url });
    const call = seen(client.callTool('look'));
    await until(() => runs.length === 1);
    const draining = a.endpoint.drain({ timeoutMs: 100 });
    route.url = b.url;
    expect(await draining).toEqual({ released: 1, interrupted: 1 });
    await client.client.ping();
    await until(() => runs.length === 2);
    expect(runs[0]?.signal.aborted).toBe(true);
    for (const { answer } of runs) answer();
    expect(await call).toEqual({ isError: false, text: 'seen by b' });
  });

  test("with 'error', the default, throws", async () => {
    const { a, client } = await pair();
    const call = seen(client.callTool('hold'));
    await a.lab.held();
    await a.endpoint.drain({ timeoutMs: 0 });
    expect(await call).toEqual({ text: expect.stringContaining('may have run') });
  });
});

describe('the v2 client at 2026-07-28', () => {
  test.each([
    [
      'result',
      { isError: true, text: expect.stringContaining('may have run'), told: expect.anything() },
    ],
    ['error', { text: expect.stringContaining('may have run') }],
  ] as const)('with %s reads that the endpoint closed', async (lostCalls, expected) => {
    const lab = createLab();
    const { endpoint, url } = await serve(lab.factory, { lostCalls });
    const client = await connectNegotiating(url);
    expect(client.protocolVersion()).toBe('2026-07-28');
    const call = seen(client.callTool('hold'));
    await lab.held();
    await endpoint.close({ timeoutMs: 0 });
    expect(await call).toEqual(expected);
  });
});
