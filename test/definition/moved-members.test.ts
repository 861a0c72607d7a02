// @module-tag matrix
/**
 * A version of the SDK in which a private member moved: one server object still serves sessions, over a restart, and
 * keeps them apart. Each member that the code names is moved in turn, in a copy of each SDK.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { type ConnectableServer, createMcpEndpoint, currentSession, type McpEndpoint } from '../../src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { freePort } from '../kit/free-port.ts';
import { createLog, type Log } from '../kit/log.ts';
import { copyShaped, copyWithout, movedServer, SHAPES } from '../kit/moved-member.ts';
import { serve } from '../kit/serve.ts';
import { sessionClients } from '../clients/official.ts';

/** Those of a definition. */
const DEFINITION = [
  '_serverInfo',
  '_options',
  '_requestHandlers',
  '_notificationHandlers',
  '_clientCapabilities',
  '_clientVersion',
  '_loggingLevels',
  '_oninitialize',
  '_oncancel',
  '_onprogress',
];
/** Those that every server may lack. */
const OTHERS = [
  '_onrequest',
  '_onnotification',
  '_registeredTools',
  '_responseHandlers',
  '_progressHandlers',
  '_jsonSchemaValidator',
  'executeToolHandler',
];

const MEMBERS = {
  server: [
    ...DEFINITION,
    ...OTHERS,
    '_instructions',
    '_negotiatedProtocolVersion',
    '_requestStateVerify',
    '_inputRequiredServing',
    '_legacyShim',
    '_ondiscover',
    '_customSchemaRequestMethods',
    '_notificationViaCodec',
  ],
  sdk: [
    ...DEFINITION,
    ...OTHERS,
    '_transport',
    '_requestResolvers',
    '_taskProgressTokens',
    '_requestHandlerAbortControllers',
  ],
} as const;

const versionOf = (name: string): string => {
  const file = new URL(`../../node_modules/@modelcontextprotocol/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
};
const VERSIONS = { server: versionOf('server'), sdk: versionOf('sdk') };

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

/** In SDK 1 the first connection makes the first two, and the others may be missing. */
const SPARED = new Set<string>([
  '_clientCapabilities',
  '_clientVersion',
  '_requestResolvers',
  '_taskProgressTokens',
  '_oncancel',
  ...OTHERS,
]);

/** Without one of these, a definition cannot make a server for each session. */
const NEEDED: Readonly<Record<keyof typeof MEMBERS, ReadonlySet<string>>> = {
  server: new Set([
    ...DEFINITION,
    '_negotiatedProtocolVersion',
    '_requestStateVerify',
    '_inputRequiredServing',
    '_legacyShim',
    '_ondiscover',
  ]),
  sdk: new Set([...MEMBERS.sdk].filter((name) => !SPARED.has(name))),
};

/** One line says what is lost, where a server serves without the member. */
const SAID: Readonly<Record<keyof typeof MEMBERS, ReadonlySet<string>>> = {
  server: new Set(['_onrequest', '_onnotification', '_notificationViaCodec', '_registeredTools', 'executeToolHandler']),
  sdk: new Set(['_onrequest', '_onnotification', '_responseHandlers']),
};

const cases = (['server', 'sdk'] as const).flatMap((name) => MEMBERS[name].map((member) => [name, member] as const));

/** Serves an object of this copy, or what a factory makes, to the official clients, over a restart. Returns the log. */
async function serveOverRestart(build: string, servedAs: 'object' | 'factory' = 'object'): Promise<Log> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-moved-'));
  onTestFinished(() => {
    for (const path of [folder, build.replace(/node_modules.*/, '')]) rmSync(path, { recursive: true, force: true });
  });
  const log = createLog();
  let endpoint: McpEndpoint;
  const start = async (port: number): Promise<string> => {
    const server = servedAs === 'object' ? await serverOf(build) : async () => serverOf(build);
    endpoint = createMcpEndpoint(server, { store: sqlite(join(folder, 'sessions.db')), logger: log });
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

/** The warning of each start. */
const warningsOf = (log: Log): string[] =>
  log.matching(/one connection serves all sessions/, 'warn').map(({ message }) => message);

describe.each(cases)('the SDK %s without %s', (name, member) => {
  test('serves one object to the official clients, over a restart, and mixes no sessions', async () => {
    const build = copyWithout(name, member);
    const log = await serveOverRestart(build);
    const warnings = warningsOf(log);
    // One for each start, which says what is missing.
    expect(warnings.length, warnings.join()).toBe(NEEDED[name].has(member) ? 2 : 0);
    const says = log.matching(/This version of the MCP SDK has no/, 'warn').map(({ fields }) => fields['member']);
    expect(says).toEqual(SAID[name].has(member) ? [member] : []);
    const copy = `@modelcontextprotocol/${name} ${VERSIONS[name]} (in ${build.replace(/\/dist.*/, '')})`;
    const reason = member === '_transport' ? 'the transport of another session' : member;
    for (const warning of warnings) expect(warning).toContain(reason);
    for (const warning of warnings) expect(warning).toContain(copy);
  });
});

describe.each(
  (['server', 'sdk'] as const).flatMap((name) =>
    (['_requestHandlers', '_notificationHandlers'] as const).map((member) => [name, member] as const),
  ),
)('a factory of the SDK %s without %s', (name, member) => {
  test('serves the official clients, over a restart, and says what is lost', async () => {
    const log = await serveOverRestart(copyWithout(name, member), 'factory');
    expect(warningsOf(log)).toEqual([]);
    const said = log.matching(/This version of the MCP SDK has no/, 'warn').map(({ message }) => message);
    expect(said).toEqual([expect.stringContaining(`has no ${member}: a cancelled call gives its place`)]);
  });
});

/** Why one connection serves all sessions, for the shapes that need it. */
const REASONS: Partial<Record<keyof typeof SHAPES, RegExp>> = {
  'binds a method in its constructor': /its constructor sets notification\(\)/,
};

const shapes = (['server', 'sdk'] as const).flatMap((name) =>
  (Object.keys(SHAPES) as Array<keyof typeof SHAPES>).map((shape) => [name, shape] as const),
);

describe.each(shapes)('the SDK %s which %s', (name, shape) => {
  test('serves one object to the official clients, over a restart, and mixes no sessions', async () => {
    const warnings = warningsOf(await serveOverRestart(copyShaped(name, shape)));
    const reason = REASONS[shape];
    expect(warnings).toEqual(
      reason === undefined ? [] : Array.from({ length: 2 }, () => expect.stringMatching(reason)),
    );
  });

  test("has its own Server told from a subclass of the application's", async () => {
    const build = copyShaped(name, shape);
    onTestFinished(() => rmSync(build.replace(/node_modules.*/, ''), { recursive: true, force: true }));
    const file = pathToFileURL(join(build, name === 'sdk' ? 'server/index.js' : 'index.mjs')).href;
    const { Server } = (await import(file)) as { Server: new (info: object) => ConnectableServer };
    const info = { name: 'own', version: '1.0.0' };
    class Own extends Server {}
    expect(() => createMcpEndpoint(new Own(info))).toThrow(/class Own extends the SDK's Server/);
    class Around {
      readonly server = new Own(info);
      registerTool(): void {}
      async connect(): Promise<void> {}
      async close(): Promise<void> {}
    }
    expect(() => createMcpEndpoint(new Around())).toThrow(/class Own extends the SDK's Server/);
    // Without an McpServer around it, nothing tells a class of the SDK above its Server from an application's.
    if (shape !== 'has another class above its Server') await createMcpEndpoint(new Server(info)).close();
  });
});

test.each(['server', 'sdk'] as const)(
  'what the application replaced in the SDK %s is used, or refused',
  async (name) => {
    const build = copyShaped(name, 'binds a method in its constructor');
    const McpServer = await movedServer(name, build, onTestFinished);
    const info = { name: 'own', version: '1.0.0' };
    const redacting = new McpServer(info, { capabilities: { logging: {} } });
    const send = redacting.server.notification;
    redacting.server.notification = ({ method }) => send({ method, params: { level: 'error', data: 'redacted' } });
    redacting.registerTool('log', {}, async () => {
      await redacting.server.sendLoggingMessage({ level: 'error', data: 'secret' });
      return { content: [] };
    });
    const { client } = await serve(redacting);
    const one = client();
    await one.initialize();
    const answer = await one.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'log' } });
    await answer.ended;
    const [logged] = answer.events.flatMap(({ message }) => message ?? []);
    expect(logged).toMatchObject({ method: 'notifications/message', params: { data: 'redacted' } });
    const other = new McpServer(info);
    other.server.ping = () => Promise.reject(new Error('replaced'));
    expect(() => createMcpEndpoint(other)).toThrow(/its method ping\(\) was replaced/);
  },
);
