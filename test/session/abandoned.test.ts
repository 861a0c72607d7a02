// @module-tag matrix
/** Ten thousand clients open a session and never come back: the idle timeout gives their memory back. */
import type { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { gc } from '../kit/gc.ts';
import { toolCall } from '../kit/lab.ts';
import { currentSession, type McpSession } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

const SESSIONS = 10_000;
const AT_ONCE = 50;
const IDLE_MS = 60_000;
const TOMBSTONE_MS = 600_000;

function heap(): number {
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}

const atOnce = (client: RawClient): Promise<unknown> => client.initialize({ initialized: false });

/** How far a client gets before it is never heard of again. */
const farewells: ReadonlyArray<(client: RawClient) => Promise<unknown>> = [
  ...Array.from({ length: 10 }, () => atOnce),
  (client) => client.initialize(),
  async (client) => {
    await client.initialize();
    await client.call('tools/call', { name: 'remember', arguments: {} });
    await client.call('resources/subscribe', { uri: 'note://a' });
  },
  async (client) => {
    await client.initialize();
    (await client.get()).abort();
  },
  async (client) => {
    await client.initialize();
    (await client.post(toolCall('c', 'short'))).abort();
  },
  (client) => client.initialize({ protocolVersion: '2025-03-26' }),
];

test(
  '10,000 abandoned sessions are gone after the idle timeout, and so is their memory',
  { timeout: 120_000 },
  async () => {
    const timeProvider = createFakeTime();
    const seen = { servers: [] as WeakRef<McpServer>[], sessions: [] as WeakRef<McpSession>[] };
    let aborted = 0;
    const { client, endpoint } = await serve(
      toolServer(
        {
          remember: async () => {
            await currentSession()?.state.set('kept', 'x'.repeat(500));
            return said('kept');
          },
          short: async () => {
            await new Promise((later) => setImmediate(later));
            return said('no client reads this');
          },
        },
        (server, { session }) => {
          seen.servers.push(new WeakRef(server));
          if (session === undefined) return;
          seen.sessions.push(new WeakRef(session));
          session.signal.addEventListener('abort', () => (aborted += 1));
          server.server.setRequestHandler('resources/subscribe', () => ({}));
        },
      ),
      {
        timeProvider,
        idleTimeoutMs: IDLE_MS,
        tombstoneMs: TOMBSTONE_MS,
        maxIdleSessionCount: Infinity,
        logger: false,
      },
    );
    const visitors: RawClient[] = Array.from({ length: AT_ONCE }, () =>
      client({ timeoutMs: 60_000 }),
    );
    const open = async (sessions: number): Promise<void> => {
      let opened = 0;
      const visit = async (visitor: RawClient): Promise<void> => {
        while (opened < sessions) {
          const farewell = farewells[opened++ % farewells.length];
          visitor.sessionId = undefined;
          visitor.protocolVersion = undefined;
          await farewell?.(visitor);
        }
      };
      await Promise.all(visitors.map(visit));
    };
    const pass = async (ms: number): Promise<void> => {
      await timeProvider.advance(ms);
      await until(
        async () =>
          endpoint.sessions.liveCount === 0 &&
          (await endpoint.sessions.list()).sessions.length === 0,
        {
          timeoutMs: 30_000,
        },
      );
    };

    // Whatever is made once and stays: code, pools, shapes.
    await open(500);
    await pass(IDLE_MS + 5_000);
    await pass(TOMBSTONE_MS);
    const before = heap();

    await open(SESSIONS);
    await until(() => endpoint.sessions.liveCount === SESSIONS);
    const peak = heap();
    expect(peak - before).toBeGreaterThan(SESSIONS * 1_000);

    await pass(IDLE_MS + 5_000);
    // The timer of a kept-alive connection holds the context of the last request on it.
    for (const visitor of visitors) visitor.close();
    const left = (): number =>
      [...seen.servers, ...seen.sessions].filter((ref) => ref.deref() !== undefined).length;
    await until(
      () => {
        gc();
        return left() < 20;
      },
      { timeoutMs: 20_000, what: 'servers and sessions are garbage' },
    );
    expect(aborted).toBe(SESSIONS + 500);

    // What is remembered of an ended session is small, and the first sweep after its time forgets it.
    const ended = heap();
    expect(ended - before).toBeLessThan((peak - before) / 10);
    await timeProvider.advance(TOMBSTONE_MS);
    await client().initialize();
    await pass(IDLE_MS + 5_000);
    const forgotten = heap();
    expect(forgotten - before).toBeLessThan((peak - before) / 20);
  },
);
