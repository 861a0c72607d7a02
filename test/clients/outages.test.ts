/**
 * What the users of official clients see while the server of the session store is away for less than `waitMs`: every
 * call succeeds, and runs once.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from '../../src/index.ts';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { describeWhereInstalled, startServer, type ServerKind, type TestServer } from '../kit/servers/index.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';
import { connectV1, connectV2, type OfficialClient } from './official.ts';

const stores = { redis, postgres } as const;
const LEASE_MS = 1_500;
/** Between two calls of a client. */
const EVERY_MS = 60;

interface Outcome {
  calls: number;
  readonly failures: string[];
}

/** Calls every few ms until `over`; what its user sees of each is counted. */
async function callOn(client: OfficialClient, over: () => boolean): Promise<Outcome> {
  const outcome: Outcome = { calls: 0, failures: [] };
  const underWay: Promise<void>[] = [];
  while (!over()) {
    const n = (outcome.calls += 1);
    const call = client.say(n % 2 === 0 ? 'read' : 'count', {}, { timeout: 20_000 });
    underWay.push(
      call.then(
        () => {},
        (error: unknown) => void outcome.failures.push(String(error)),
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
  await Promise.all(underWay);
  return outcome;
}

async function serveOn(kind: ServerKind, url: string) {
  let counted = 0;
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const server = new McpServer({ name: 'outage', version: '1.0.0' }, { ...ctx.serverOptions });
      const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });
      server.registerTool('count', { description: 'Has an effect' }, () => say(String((counted += 1))));
      server.registerTool('read', { annotations: { readOnlyHint: true } }, () => say('read'));
      return server;
    },
    { store: stores[kind](url), leaseMs: LEASE_MS, logger: createLog() },
  );
  onTestFinished(() => endpoint.close());
  const listening = await endpoint.listen({ port: 0 });
  return { endpoint, url: listening.url, counted: () => counted };
}

async function away(server: TestServer, ms: number): Promise<void> {
  await server.stop();
  await new Promise((resolve) => setTimeout(resolve, ms));
  await server.start();
}

for (const kind of ['redis', 'postgres'] as const) {
  describeWhereInstalled(kind, `official clients, ${kind} restarted`, () => {
    describe.each([300, 3_000])('away for %i ms', (ms) => {
      test('no call fails, none times out, each runs once', { timeout: 60_000 }, async () => {
        const server = await startServer(
          kind,
          kind === 'redis' ? { args: ['--appendonly', 'yes', '--appendfsync', 'always'] } : {},
        );
        onTestFinished(() => server.close());
        const served = await serveOn(kind, server.url);
        const clients = await Promise.all(
          [connectV1, connectV2, connectV1, connectV2, connectV1, connectV2].map((connect) => connect(served.url)),
        );
        let over = false;
        const outcomes = clients.map((client) => callOn(client, () => over));
        await until(() => served.counted() > 20);
        await away(server, ms);
        await until(() => served.endpoint.health().state === 'serving' && served.endpoint.health().store === 'ok');
        const before = served.counted();
        await until(() => served.counted() > before + 20);
        over = true;
        const all = await Promise.all(outcomes);
        const failures = all.flatMap((outcome) => outcome.failures);
        expect(failures).toEqual([]);
        const effects = all.reduce((sum, { calls }) => sum + Math.ceil(calls / 2), 0);
        expect(served.counted()).toBe(effects);
      });
    });
  });
}
