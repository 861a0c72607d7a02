/**
 * Work that runs elsewhere and reports by a webhook: `npx tsx examples/tasks/training.ts`. Between `detach` and the
 * webhook the task is a record in the store.
 */
import { timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';
import { task } from 'sojourn/tasks';
import { z } from 'zod';
import { ask, follow } from './client.ts';

const SECRET = Buffer.from('a secret of the cluster and this server');
const inputSchema = z.object({ epochs: z.int() });

/** Stands for a cluster: it answers at once, and calls the webhook later. */
function submit(epochs: number, callback: string): void {
  const body = JSON.stringify({ model: `m-${epochs}` });
  setTimeout(() => void fetch(callback, { method: 'POST', headers: { Authorization: `${SECRET}` }, body }), 300);
}

const server = new McpServer({ name: 'trainer', version: '1.0.0' });
server.registerTool(
  'train',
  { description: 'Trains a model', inputSchema },
  task(({ epochs }, _ctx, own) => own.detach((taskId) => submit(epochs, `${origin}/done/${taskId}`)), {
    when: 'required', // no other client could learn the result
  }),
);

const endpoint = createMcpEndpoint(server, { tasks: true, allowedHosts: ['127.0.0.1'] });

/** The webhook. It serves the whole deployment: `complete` finds the task from any instance. */
async function done(taskId: string, sent: string | undefined, body: string): Promise<number> {
  const given = Buffer.from(sent ?? '');
  if (given.length !== SECRET.length || !timingSafeEqual(given, SECRET)) return 401;
  const { model } = JSON.parse(body) as { model: string };
  const content = [{ type: 'text', text: `trained ${model}` }];
  return (await endpoint.tasks.complete(taskId, { content })) ? 204 : 410; // 410: cancelled, or over
}

const http = createServer((req, res) => {
  const taskId = /^\/done\/([\w.-]+)$/.exec(req.url ?? '')?.[1];
  if (taskId === undefined) return endpoint.node(req, res);
  let body = '';
  req.setEncoding('utf8').on('data', (more: string) => (body += more));
  req.on('end', () => void done(taskId, req.headers.authorization, body).then((code) => res.writeHead(code).end()));
});
await new Promise<void>((listening) => http.listen(0, '127.0.0.1', listening));
const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;

const begun = await ask(`${origin}/mcp`, 'tools/call', { name: 'train', arguments: { epochs: 3 } });
console.log(`status: ${begun.status}`);
console.log(`a call of another program: ${(await fetch(`${origin}/done/${begun.taskId}`, { method: 'POST' })).status}`);
const { status, result } = await follow(`${origin}/mcp`, begun);
console.log(`status: ${status}, ${result?.content[0]?.text}`);
await endpoint.close();
http.close();
