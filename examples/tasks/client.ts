/**
 * A client with tasks: it declares the extension in each request, and asks for its task until that has ended. It starts
 * a film, kills the server in the second of two steps, and follows the task at another server on the same store:
 * `npx tsx examples/tasks/client.ts` prints which orders the farm got.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const META = 'io.modelcontextprotocol';
const _meta = {
  [`${META}/protocolVersion`]: '2026-07-28',
  [`${META}/clientCapabilities`]: {
    elicitation: { form: {} },
    extensions: { [`${META}/tasks`]: {} },
  },
};

interface Task {
  taskId: string;
  status: 'working' | 'input_required' | 'completed' | 'failed' | 'cancelled';
  pollIntervalMs: number;
  statusMessage?: string;
  result?: { content: Array<{ text: string }> };
}

interface Params {
  name?: string;
  taskId?: string;
  [more: string]: unknown;
}

/** `tools/call` answers with a task too, where the tool makes one. */
async function ask(url: string, method: string, params: Params): Promise<Task> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      'MCP-Protocol-Version': '2026-07-28',
      'Mcp-Method': method,
      'Mcp-Name': String(params.name ?? params.taskId),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }),
  });
  const text = await response.text();
  const json = text.startsWith('{')
    ? text
    : text.slice(text.lastIndexOf('\ndata: {') + '\ndata: '.length);
  const { result, error } = JSON.parse(json) as { result: Task; error?: { message: string } };
  if (error !== undefined) throw new Error(error.message);
  return result;
}

/** The task, once it waits for its client or has ended. Prints what it shows on the way. */
async function follow(url: string, { taskId }: Task): Promise<Task> {
  for (let shown = ''; ;) {
    const task = await ask(url, 'tasks/get', { taskId });
    if (task.statusMessage !== undefined && task.statusMessage !== shown)
      console.log(`  ${task.statusMessage}`);
    shown = task.statusMessage ?? shown;
    if (task.status !== 'working') return task;
    await pause(task.pollIntervalMs);
  }
}

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
const module = new URL('film.ts', import.meta.url).pathname;

async function start(): Promise<string> {
  const store = `sqlite:${join(folder, 'films.db')}`;
  const flags = ['--workers', '0', '--port', '0', '--log-level=warn', '--tasks', '--store', store];
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
