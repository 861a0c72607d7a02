// @module-tag matrix
/**
 * One server object of each version of the SDK that is supported: its sessions are kept apart, and the short way into a
 * server does what `onmessage` does.
 */
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { lackOf } from '../../tools/installed.ts';
import type { ConnectableServer } from '../../src/index.ts';
import { buildOf, bundle, SDKS } from '../kit/older-sdks.ts';
import { serve } from '../kit/serve.ts';
import { type ServerClass as EnteredClass, shortWayOf } from '../kit/short-way.ts';
import { until } from '../kit/until.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const lack = lackOf('sdks');

interface OlderServer extends ConnectableServer {
  setRequestHandler(method: unknown, handler: (request: CallRequest, ctx: Context) => unknown): void;
  getClientVersion(): { readonly name: string } | undefined;
  notification(message: object): Promise<void>;
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
  return new Server({ name: 'old', version: '1.0.0' }, { capabilities: { tools: {}, logging: {} } });
}

const copies: ReadonlyArray<readonly [name: string, file: string]> = [
  ...SDKS.map((name) => [name, name.startsWith('sdk-') ? 'server/index.js' : 'index.mjs'] as const),
  ['sdk-1.20.2', '../cjs/server/index.js'],
  ['server-2.0.0', 'index.cjs'],
  ['bundled 2.0.0', 'index.mjs'],
];

const folderOf = async (name: string): Promise<string> =>
  name.startsWith('bundled') ? bundle(temporaryFolder()) : buildOf(name);

test.skipIf(lack !== '').each(copies)(
  `the short way into a server of %s, %s, is that of onmessage${lack}`,
  { timeout: 120_000 },
  async (name, file) => {
    const { Server } = await load<{ Server: EnteredClass }>(join(await folderOf(name), file));
    expect(await shortWayOf(Server)).toEqual({ connected: true, passed: true, changed: [], sent: 0 });
  },
);

test.skipIf(lack !== '').each(copies)(
  `the object of %s, %s, cancels the call of one session alone, and each call sees its client${lack}`,
  async (name, file) => {
    const folder = await folderOf(name);
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
      await server.notification({ method: 'notifications/message', params: { level: 'error', data: client() } });
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
    const [messages] = await Promise.all(calls.map((call) => call.untilEnd()));
    expect(JSON.stringify(messages)).toContain('"text":"client-0"');
    expect(JSON.stringify(messages)).toContain('"data":"client-0"');
    expect(JSON.stringify(messages)).not.toContain('client-1');
    // What a session writes, its own server has.
    expect(Object.keys(server)).toEqual([]);
    expect((await one.call('ping')).message).toMatchObject({ result: {} });
  },
);
