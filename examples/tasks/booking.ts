/**
 * A handler of two rounds, as it is without tasks. As a task it holds no process while the user thinks:
 * `npx tsx examples/tasks/booking.ts` closes the endpoint before the answer comes, and another endpoint continues.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { acceptedContent, inputRequired, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';
import { sqlite } from 'sojourn/sqlite';
import { task } from 'sojourn/tasks';
import { z } from 'zod';
import { ask, follow } from './client.ts';

const inputSchema = z.object({ guests: z.int() });
const answer = z.object({ sure: z.boolean() });

/** Asks in its first round, books in its second. */
function book({ guests }: z.infer<typeof inputSchema>, { mcpReq }: ServerContext) {
  const given = acceptedContent(mcpReq.inputResponses, 'sure', answer);
  if (given === undefined) {
    const question = { message: `A table for ${guests}. Sure?`, requestedSchema: answer };
    return inputRequired({ inputRequests: { sure: inputRequired.elicit(question) } });
  }
  return { content: [{ type: 'text' as const, text: given.sure ? `booked for ${guests}` : 'not booked' }] };
}

const server = new McpServer({ name: 'restaurant', version: '1.0.0' });
server.registerTool(
  'book',
  { description: 'Books a table', inputSchema },
  task((args, ctx) => book(args, ctx)),
);

const folder = mkdtempSync(join(tmpdir(), 'booking-'));

async function serve() {
  const endpoint = createMcpEndpoint(server, { store: sqlite(join(folder, 'tasks.db')), tasks: true });
  const { url } = await endpoint.listen({ port: 0 });
  return { endpoint, url };
}

const monday = await serve();
const begun = await ask(monday.url, 'tools/call', { name: 'book', arguments: { guests: 4 } });
const { status, inputRequests } = await follow(monday.url, begun);
console.log(`status: ${status}, ${inputRequests?.['sure']?.params.message}`);
await monday.endpoint.close();
console.log('the endpoint is closed');

const tuesday = await serve();
const { taskId } = begun;
const inputResponses = { sure: { action: 'accept', content: { sure: true } } };
await ask(tuesday.url, 'tasks/update', { taskId, inputResponses });
const { result } = await follow(tuesday.url, begun);
console.log(result?.content[0]?.text);
await tuesday.endpoint.close();
rmSync(folder, { recursive: true });
