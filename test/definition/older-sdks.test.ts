/** One server object of an older version of the SDK: its sessions are kept apart, as those of the newest version. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { lackOf } from '../../tools/installed.ts';
import { createMcpEndpoint, type ConnectableServer } from '../../src/index.ts';
import { buildOf, bundle } from '../kit/older-sdks.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const lack = lackOf('sdks');

interface OlderServer extends ConnectableServer {
  setRequestHandler(method: unknown, handler: (request: CallRequest, ctx: Context) => unknown): void;
  getClientVersion(): { readonly name: string } | undefined;
}
interface CallRequest {
  readonly params: { readonly name: string };
}
interface Context {
  readonly signal?: AbortSignal;
  readonly mcpReq?: { readonly signal: AbortSignal };
}
type ServerClass = new (info: object, options: object) => OlderServer;

const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(file).href)) as T;

async function serverOf(file: string): Promise<OlderServer> {
  const { Server } = await load<{ Server: ServerClass }>(file);
  return new Server({ name: 'old', version: '1.0.0' }, { capabilities: { tools: {} } });
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-older-sdk-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const copies: ReadonlyArray<readonly [name: string, file: string]> = [
  ['sdk-1.0.1', 'server/index.js'],
  ['sdk-1.10.2', 'server/index.js'],
  ['sdk-1.20.2', 'server/index.js'],
  ['sdk-1.20.2', '../cjs/server/index.js'],
  ['server-2.0.0', 'index.mjs'],
  ['server-2.0.0', 'index.cjs'],
  ['bundled 2.0.0', 'index.mjs'],
];

test.skipIf(lack !== '').each(copies)(
  `the object of %s, %s, cancels the call of one session alone, and each call sees its client${lack}`,
  async (name, file) => {
    const folder = name.startsWith('bundled') ? await bundle(temporaryFolder()) : await buildOf(name);
    const server = await serverOf(join(folder, file));
    const isFirst = name.startsWith('sdk-');
    const method = isFirst
      ? (await load<{ CallToolRequestSchema: unknown }>(join(folder, dirname(file), '../types.js')))
          .CallToolRequestSchema
      : 'tools/call';
    const running = new Map<string, AbortSignal>();
    const holds: Array<() => void> = [];
    server.setRequestHandler(method, async (_request, { signal, mcpReq }) => {
      const client = (): string => server.getClientVersion()?.name ?? 'unknown';
      running.set(client(), (signal ?? mcpReq?.signal) as AbortSignal);
      await new Promise<void>((done) => holds.push(done));
      return { content: [{ type: 'text', text: client() }] };
    });
    const served = await serve(server);
    const clients = [served.client(), served.client()] as const;
    const [one, other] = clients;
    for (const [n, client] of clients.entries())
      await client.initialize({ clientInfo: { name: `client-${n}`, version: '1.0.0' } });
    const calls = [];
    for (const client of clients) {
      const params = { name: 'hold', arguments: {} };
      calls.push(await client.post({ jsonrpc: '2.0', id: 'same', method: 'tools/call', params }));
    }
    await until(() => holds.length === 2);
    await other.notify('notifications/cancelled', { requestId: 'same' });
    await until(() => running.get('client-1')?.aborted === true);
    expect(running.get('client-0')?.aborted).toBe(false);
    for (const hold of holds) hold();
    const [messages] = await Promise.all(calls.slice(0, 1).map((call) => call.untilEnd()));
    expect(JSON.stringify(messages)).toContain('"text":"client-0"');
    expect((await one.call('ping')).message).toMatchObject({ result: {} });
  },
);

/** A copy of a build in which a private member has another name. */
async function renamed(name: string, member: string): Promise<string> {
  const original = dirname(await buildOf(name));
  const [modules, copies] = [dirname(original), join(temporaryFolder(), 'node_modules')];
  const folder = join(copies, name);
  cpSync(original, folder, { recursive: true });
  // It finds its dependencies beside it.
  for (const entry of readdirSync(modules)) if (entry !== name) symlinkSync(join(modules, entry), join(copies, entry));
  for (const entry of readdirSync(join(folder, 'dist'), { recursive: true, encoding: 'utf8' })) {
    const file = join(folder, 'dist', entry);
    if (!/\.[cm]?js$/.test(entry)) continue;
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(member, `${member}2`));
  }
  return folder;
}

test.skipIf(lack !== '')(
  `the refusal of a copy whose member has another name states the version and the place of this copy${lack}`,
  async () => {
    const folder = await renamed('server-2.0.0', '_requestHandlers');
    const server = await serverOf(join(folder, 'dist/index.mjs'));
    const { prepareStackTrace, stackTraceLimit } = Error;
    expect(() => createMcpEndpoint(server)).toThrow(
      `(it has no _requestHandlers); it is @modelcontextprotocol/server 2.0.0 (in ${folder}), and 2.0.0 to 2.4.0 can; ` +
        'pass a factory, which creates a new server in each call: createMcpEndpoint(() => {',
    );
    expect({ prepareStackTrace: Error.prepareStackTrace, stackTraceLimit: Error.stackTraceLimit }).toEqual({
      prepareStackTrace,
      stackTraceLimit,
    });
  },
);
