// @module-tag matrix
/**
 * A version of the SDK in which a private member moved: one server object still serves sessions, over a restart, and
 * keeps them apart, or is refused. Each member that holds the state of a client, or that the code names, is moved in
 * turn, in a copy of each SDK.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { type ConnectableServer, createMcpEndpoint, currentSession, type McpEndpoint } from '../../src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { freePort } from '../kit/free-port.ts';
import { createLog, type Log } from '../kit/log.ts';
import { copyWithout } from '../kit/moved-member.ts';
import { sessionClients } from '../clients/official.ts';

/** Without one of these, a definition cannot make a server for each session. */
const NEEDED = ['_requestHandlers', '_notificationHandlers'];

/** The state of a connection, and what every server may lack. */
const MOVABLE = [
  '_clientCapabilities',
  '_clientVersion',
  '_loggingLevels',
  '_transport',
  '_requestHandlerAbortControllers',
  '_onrequest',
  '_serverInfo',
  '_options',
  '_registeredTools',
  '_responseHandlers',
  '_progressHandlers',
  '_jsonSchemaValidator',
];

const MEMBERS = {
  server: [
    ...MOVABLE,
    '_instructions',
    '_negotiatedProtocolVersion',
    '_legacyShim',
    '_customSchemaRequestMethods',
    '_notificationViaCodec',
  ],
  sdk: [...MOVABLE, '_requestResolvers', '_taskProgressTokens'],
} as const;

const VERSIONS = ['server', 'sdk'] as const;

interface Server extends ConnectableServer {
  registerTool(name: string, config: object, handler: (...args: never[]) => unknown): void;
  readonly server: {
    getClientVersion(): { readonly name: string } | undefined;
    elicitInput(params: object): Promise<{ readonly content?: Readonly<Record<string, unknown>> }>;
    sendLoggingMessage(params: object): Promise<void>;
  };
}

async function serverOf(build: string): Promise<Server> {
  const file = build.endsWith('esm') ? 'server/mcp.js' : 'index.mjs';
  const { McpServer } = (await import(pathToFileURL(join(build, file)).href)) as {
    McpServer: new (info: object, options: object) => Server;
  };
  const server = new McpServer({ name: 'counter', version: '1.0.0' }, { capabilities: { logging: {} } });
  const text = (said: string): object => ({ content: [{ type: 'text', text: said }] });
  server.registerTool('count', { description: 'Counts calls' }, async () => {
    const n = await currentSession()?.state?.update('calls', (before = 0) => before + 1);
    return text(`call ${n} of ${server.server.getClientVersion()?.name}`);
  });
  server.registerTool(
    'ask',
    { inputSchema: z.object({ marker: z.string() }) },
    async ({ marker }: { marker: string }) => {
      await server.server.sendLoggingMessage({ level: 'error', data: marker });
      const requestedSchema = { type: 'object', properties: { name: { type: 'string' } } };
      const { content } = await server.server.elicitInput({ message: marker, requestedSchema });
      return text(`${marker} ${String(content?.['name'])}`);
    },
  );
  return server;
}

/** Serves an object of this copy, or what a factory makes, to the official clients, over a restart. */
async function serveOverRestart(build: string, servedAs: 'object' | 'factory' = 'object'): Promise<Log> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-moved-'));
  onTestFinished(() => {
    for (const path of [folder, build.replace(/node_modules.*/, '')]) rmSync(path, { recursive: true, force: true });
  });
  const log = createLog();
  let endpoint: McpEndpoint;
  const start = async (port: number): Promise<string> => {
    const server = servedAs === 'object' ? await serverOf(build) : async () => serverOf(build);
    // A busy machine is late for a shorter lease, and that is a warning.
    const options = { store: sqlite(join(folder, 'sessions.db')), logger: log, leaseMs: 60_000 };
    endpoint = createMcpEndpoint(server, options);
    return (await endpoint.listen({ port })).url;
  };
  const url = await start(await freePort());
  onTestFinished(() => endpoint.close());
  const clients = await Promise.all(
    sessionClients.map(async ([kind, connect]) => {
      const marker = `marker of ${kind}`;
      const asked: unknown[] = [];
      const client = await connect(url, {
        elicit: ({ message }) => {
          asked.push(message);
          return { action: 'accept', content: { name: marker } };
        },
      });
      return { marker, client, asked };
    }),
  );
  const round = async (n: number): Promise<void> => {
    await Promise.all(
      clients.map(async ({ marker, client }) => {
        const count = await client.callTool('count');
        expect(count.content?.[0]?.text).toMatch(new RegExp(`^call ${n} of `));
        const answers = await Promise.all([1, 2, 3].map(() => client.callTool('ask', { marker })));
        for (const { content } of answers) expect(content?.[0]?.text).toBe(`${marker} ${marker}`);
      }),
    );
  };
  await round(1);
  await endpoint!.close();
  await start(Number(new URL(url).port));
  await round(2);
  for (const { marker, client, asked } of clients) {
    expect(new Set(asked)).toEqual(new Set([marker]));
    const logged = client.messages.filter(({ method }) => method === 'notifications/message');
    expect(logged.map(({ params }) => params?.['data'] as unknown)).toEqual(Array.from({ length: 6 }, () => marker));
  }
  await Promise.all(clients.map(({ client }) => client.client.close()));
  return log;
}

const moved = VERSIONS.flatMap((name) => MEMBERS[name].map((member) => [name, member] as const));
const needed = VERSIONS.flatMap((name) => NEEDED.map((member) => [name, member] as const));

test.each(moved)('an object of the SDK %s without %s serves and mixes no sessions', async (name, member) => {
  const log = await serveOverRestart(copyWithout(name, member));
  expect(log.matching(/./, 'warn')).toEqual([]);
});

test.each(needed)('an object of the SDK %s without %s is refused, and a factory serves', async (name, member) => {
  const build = copyWithout(name, member);
  const given = await serverOf(build);
  expect(() => createMcpEndpoint(given)).toThrow(
    new RegExp(`keeps what its servers are made of elsewhere \\(it has no ${member}\\); pass a factory, a function`),
  );
  await serveOverRestart(build, 'factory');
});
