/**
 * Starts a task, kills its server in the second of two steps, and follows the task at another server on the same
 * store: `npx tsx examples/tasks/film.ts` prints which orders the farm got.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, follow } from './client.ts';

const orders: string[] = [];
const servers: ChildProcess[] = [];

/** Counts orders. It kills the first server when that orders the film, before it gets an answer. */
const farm = createServer((req, res) => {
  const order = (req.url ?? '/').slice(1);
  const isNew = !orders.includes(order);
  orders.push(order);
  if (order.startsWith('film') && isNew) servers[0]?.kill('SIGKILL');
  res.end(order);
});
farm.listen(0, '127.0.0.1');
await once(farm, 'listening');

const folder = mkdtempSync(join(tmpdir(), 'film-'));
const cli = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const module = new URL('film-server.ts', import.meta.url).pathname;

async function start(): Promise<string> {
  const store = `sqlite:${join(folder, 'films.db')}`;
  const flags = ['--workers', '0', '--port', '0', '--quiet', '--tasks', '--store', store];
  const env = { ...process.env, FARM: `http://127.0.0.1:${(farm.address() as AddressInfo).port}` };
  const server = spawn(process.execPath, [cli, 'serve', module, ...flags], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  servers.push(server);
  for (let printed = ''; ;) {
    const [text] = (await once(server.stdout, 'data')) as [Buffer];
    const url = /http:\/\/\S+\/mcp/.exec((printed += text.toString()))?.[0];
    if (url !== undefined) return url;
  }
}

const [first, second] = [await start(), await start()];
const task = await ask(first, 'tools/call', { name: 'film', arguments: { scene: 'sea' } });
console.log(`status: ${task.status}`);
await once(servers[0] as ChildProcess, 'close');
console.log('the first server is dead');
const { status, result } = await follow(second, task);
console.log(`status: ${status}, ${result?.content[0]?.text}`);
console.log(`orders: ${orders.join(', ')}`);
servers[1]?.kill();
await once(servers[1] as ChildProcess, 'close');
farm.close();
rmSync(folder, { recursive: true });
