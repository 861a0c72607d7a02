/**
 * What users of official clients see when one instance alone loses the store for longer than `waitMs`: their running
 * calls end at another instance.
 */
import { expect, onTestFinished, test } from 'vitest';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from '../../src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { createFaultProxy, type FaultProxy } from '../kit/fault-proxy.ts';
import { createLog } from '../kit/log.ts';
import { describeWhereInstalled, startServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { type OfficialClient, sessionClients } from './official.ts';

/** `holds`: its tools answer only when they are let go. */
async function serveOn(name: string, url: string, holds: boolean) {
  const held: Array<() => void> = [];
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const server = new McpServer({ name, version: '1.0.0' }, { ...ctx.serverOptions });
      const work = async () => {
        if (holds) await new Promise<void>((done) => held.push(done));
        return { content: [{ type: 'text' as const, text: name }] };
      };
      server.registerTool('read', { annotations: { readOnlyHint: true } }, work);
      server.registerTool('effect', {}, work);
      return server;
    },
    { store: redis(url), leaseMs: 900, waitMs: 1_200, logger: createLog() },
  );
  onTestFinished(() => endpoint.close());
  const { url: at } = await endpoint.listen({ port: 0 });
  return { endpoint, url: at, held };
}

async function serveBehind(server: TestServer): Promise<{ proxy: FaultProxy; url: string }> {
  const proxy = await createFaultProxy({ port: server.port });
  onTestFinished(() => proxy.close());
  return { proxy, url: server.url.replace(`:${server.port}`, `:${proxy.port}`) };
}

describeWhereInstalled('redis', 'one instance alone without its store', () => {
  test.each(sessionClients)(
    'calls of client %s that run there end at the other one',
    { timeout: 40_000 },
    async (_, connect) => {
      const server = await startServer('redis');
      onTestFinished(() => server.close());
      const { proxy, url } = await serveBehind(server);
      // An instance reads the other leases when it starts.
      const there = await serveOn('other', server.url, false);
      await there.endpoint.sessions.list();
      const here = await serveOn('cut off', url, true);
      let at = here.url;
      const client: OfficialClient = await connect(here.url, { route: () => at });
      await client.listening;
      const read = client.say('read', {}, { timeout: 20_000 });
      const effect = client.say('effect', {}, { timeout: 20_000 }).catch(String);
      await until(() => here.held.length === 2);
      proxy.blackHole(true);
      await until(() => here.endpoint.health().state === 'lapsed');
      // Their answers cannot be stored any more.
      for (const release of here.held) release();
      at = there.url;
      expect(await read).toBe('other');
      expect(await effect).toMatch(/may have run/);
    },
  );

  test.each(sessionClients)(
    'calls of client %s that the other one runs for it are answered there',
    { timeout: 40_000 },
    async (_, connect) => {
      const server = await startServer('redis');
      onTestFinished(() => server.close());
      const { proxy, url } = await serveBehind(server);
      const there = await serveOn('other', server.url, true);
      await there.endpoint.sessions.list();
      const here = await serveOn('cut off', url, false);
      let at = there.url;
      const client: OfficialClient = await connect(there.url, { route: () => at });
      await client.listening;
      at = here.url;
      let tokens = 0;
      const options = { timeout: 20_000, onresumptiontoken: () => void (tokens += 1) };
      const calls = [client.say('read', {}, options), client.say('effect', {}, options)];
      // Both streams have begun: their first events reached the client.
      await until(() => there.held.length === 2 && tokens === 2);
      proxy.blackHole(true);
      await until(() => here.endpoint.health().state === 'lapsed');
      at = there.url;
      await until(() => client.requests.filter((request) => request.startsWith('GET ')).length >= 2);
      for (const release of there.held) release();
      expect(await Promise.all(calls)).toEqual(['other', 'other']);
    },
  );
});
