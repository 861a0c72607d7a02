/**
 * Attacks on the room in which requests wait while the store is away. No caller keeps the requests of
 * others from being served when it is back, and every place is given back. `let in` counts calls of others
 * that failed, calls past the bounds that waited, and calls that ran although their clients had left.
 */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { faces, serve, userHeader, type Face } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { cut as cutOff, mend, watchedStore } from '../kit/watched-store.ts';
import {
  abortEach,
  BUDGET,
  hasWholeBudget,
  rawRequest,
  rpcBytes,
  sessionHeaders,
} from './aborts.ts';

const PLACES = 40;
const LIMITS: McpEndpointOptions = {
  leaseMs: 1_000,
  maxWaitMs: 60_000,
  limits: { waitingRequests: PLACES, memoryBytes: BUDGET, userShare: 1 },
};
/** Requests of one attack. */
const CALLS = 100;
const SLOW = { timeoutMs: 60_000 };

/** An endpoint whose store can be cut off. */
async function start(face: Face = 'node', options: McpEndpointOptions = {}) {
  const store = watchedStore({ durable: true });
  const ran: string[] = [];
  const lab = createLab((mcp) => {
    mcp.registerTool('run', {}, (ctx) => {
      ran.push(String(ctx.mcpReq.id));
      return { content: [{ type: 'text', text: 'ran' }] };
    });
  });
  const served = await serve(
    lab.factory,
    { ...LIMITS, ...options, store },
    { face, auth: userHeader },
  );
  const { endpoint } = served;
  return {
    ...served,
    ran,
    open: async (user: string) => {
      const client = served.client({ ...SLOW, headers: { 'x-user': user } });
      expect((await client.initialize()).response.status).toBe(200);
      return client;
    },
    cut: async () => {
      cutOff(store);
      await until(() => endpoint.health().state === 'lapsed', { timeoutMs: 20_000 });
    },
    back: async () => {
      mend(store);
      await until(() => endpoint.health().state === 'serving', { timeoutMs: 30_000 });
    },
  };
}

/** The headers of the session of an attacker. */
const headersOf = (eve: RawClient) => ({ 'x-user': 'eve', ...sessionHeaders(eve) });

const bobHasAll = (port: number): Promise<boolean> =>
  until(() => hasWholeBudget(port, { 'x-user': 'bob' }));

/** What became of calls that were sent at once. */
interface Wave {
  served: number;
  refused: number;
  readonly over: Promise<unknown>;
}

/** Each call is answered by the tool, or by the refusal of a store that is away. */
function send(client: RawClient, count: number): Wave {
  const one = async (): Promise<void> => {
    const { response, message } = await client.call(...tool('echo', { text: '' }));
    if (textOf(message) === '') wave.served += 1;
    else {
      expect(response.header('sojourn-refused')).toMatch(/^(store_unavailable|lease_lost)$/);
      wave.refused += 1;
    }
  };
  const wave = { served: 0, refused: 0, over: Promise.all(Array.from({ length: count }, one)) };
  return wave;
}

const waits = (wave: Wave, sent: number, waiting: number): Promise<boolean> =>
  until(() => wave.refused === sent - waiting, { what: `${waiting} of ${sent} calls to wait` });

test(
  'each further user takes half of the free places, and no call waits past the last place',
  { timeout: 90_000 },
  async () => {
    const { open, cut, back } = await start();
    const waiting = [20, 10, 5, 3, 1, 1, 0, 0];
    const clients = await Promise.all(waiting.map((_, n) => open(`user ${n}`)));
    for (let round = 0; round < 2; round++) {
      await cut();
      const waves: Wave[] = [];
      for (const [n, client] of clients.entries()) {
        const sent = n === 0 ? CALLS : CALLS / 4;
        const wave = send(client, sent);
        waves.push(wave);
        await waits(wave, sent, waiting[n] ?? 0);
      }
      await back();
      await Promise.all(waves.map(({ over }) => over));
      const served = waves.map((wave) => wave.served);
      expect(served).toEqual(waiting);
      for (const client of clients)
        expect((await client.call('ping')).message).toMatchObject({ result: {} });
    }
  },
);

describe.each(faces)('%s', (face) => {
  test(
    'clients that leave give their places back: their calls never run, and their handshakes open no session',
    { timeout: 90_000 },
    async () => {
      const { open, cut, back, port, ran, endpoint } = await start(face);
      const [eve, bob] = [await open('eve'), await open('bob')];
      await cut();
      const padding = 'x'.repeat(1_000);
      const params = { name: 'run', arguments: { padding } };
      const clientInfo = { name: 'leaving', version: padding };
      const handshake = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
      await abortEach(port, CALLS, (n) =>
        rpcBytes(headersOf(eve), 1_000 + n, 'tools/call', params),
      );
      await abortEach(port, CALLS, (n) =>
        rpcBytes({ 'x-user': 'eve' }, n, 'initialize', handshake),
      );
      await bobHasAll(port);
      const flood = send(eve, CALLS);
      await waits(flood, CALLS, PLACES / 2);
      const other = send(bob, PLACES / 4);
      await back();
      await Promise.all([flood.over, other.over]);
      expect([flood.served, other.served, ran, endpoint.sessions.liveCount]).toEqual([
        PLACES / 2,
        PLACES / 4,
        [],
        2,
      ]);
      await bobHasAll(port);
    },
  );
});

test(
  'notifications of clients that left wait on within their share',
  { timeout: 90_000 },
  async () => {
    const { open, cut, back, port } = await start();
    const [eve, bob] = [await open('eve'), await open('bob')];
    await cut();
    const params = { padding: 'x'.repeat(1_000) };
    await abortEach(port, CALLS, () =>
      rawRequest('POST', headersOf(eve), {
        jsonrpc: '2.0',
        method: 'notifications/roots/list_changed',
        params,
      }),
    );
    const other = send(bob, PLACES / 4);
    await back();
    await other.over;
    expect(other.served).toBe(PLACES / 4);
    // It waits behind them, and what was delivered holds nothing.
    await eve.call(...tool('echo', { text: 'behind' }));
    await cut();
    const flood = send(eve, CALLS);
    await waits(flood, CALLS, PLACES / 2);
    await back();
    await flood.over;
    expect(flood.served).toBe(PLACES / 2);
    await bobHasAll(port);
  },
);
