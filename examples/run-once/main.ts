/**
 * Pays an order, kills the server after the charge, and pays it again: `npx tsx examples/run-once/main.ts` prints one
 * charge.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once as happened } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const charges = new Map<string, number>();
let server: ChildProcess | undefined;
let kills = true;

/** Counts charges. It kills the server that asked for the first one, before the answer leaves. */
const bank = createServer((req, res) => {
  const { pathname, searchParams } = new URL(req.url ?? '/', 'http://bank');
  const order = pathname.slice('/charges/'.length);
  if (req.method === 'POST') {
    charges.set(order, (charges.get(order) ?? 0) + 1);
    if (kills) server?.kill('SIGKILL');
    kills = false;
  }
  res.end(charges.has(order) ? `charged ${searchParams.get('cents')} cents for ${order}` : '');
});
bank.listen(0, '127.0.0.1');
await happened(bank, 'listening');

const folder = mkdtempSync(join(tmpdir(), 'run-once-'));
const cli = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const module = new URL('server.ts', import.meta.url).pathname;

async function start(): Promise<string> {
  const store = `sqlite:${join(folder, 'sessions.db')}`;
  const flags = ['--workers', '0', '--port', '0', '--log-level', 'warn', '--store', store];
  const env = { ...process.env, BANK: `http://127.0.0.1:${(bank.address() as AddressInfo).port}` };
  server = spawn(process.execPath, [cli, 'serve', module, ...flags], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for (let printed = ''; ;) {
    const [text] = (await happened(server.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    const url = /http:\/\/\S+\/mcp/.exec((printed += text.toString()))?.[0];
    if (url !== undefined) return url;
  }
}

async function pay(url: string): Promise<string> {
  const client = new Client({ name: 'shopper', version: '1.0.0' });
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    const call = { name: 'pay', arguments: { order: 'o-1', cents: 500 } };
    return JSON.stringify((await client.callTool(call, { timeout: 5_000 })).content);
  } catch (error) {
    return `failed: ${(error as Error).message}`;
  } finally {
    await client.close().catch(() => {});
  }
}

console.log(`first:  ${await pay(await start())}`);
const url = await start();
console.log(`second: ${await pay(url)}`);
console.log(`third:  ${await pay(url)}`);
console.log(`charges: ${charges.get('o-1')}`);
server?.kill();
await happened(server as ChildProcess, 'close');
bank.close();
rmSync(folder, { recursive: true });
