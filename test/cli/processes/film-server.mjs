/**
 * `count` in `session.state`, and `film`: a task as `FILM_WHEN` says, otherwise an ordinary tool, as that of a build
 * without tasks.
 */
import { appendFileSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const question = { message: 'Publish?', requestedSchema: { type: 'object', properties: {} } };
const { EFFECTS, FILM_WHEN } = process.env;

async function film(_args, _ctx, own) {
  await own.step('frames', () => {
    appendFileSync(EFFECTS, 'frames\n');
    return 24;
  });
  const { action } = await own.elicit('publish', question);
  return text(`film, ${action}, attempt ${own.attempt}`);
}

let handler = () => text('no task');
if (FILM_WHEN !== undefined) {
  const { task } = await import('sojourn/tasks');
  handler = task(film, { when: FILM_WHEN, resume: true });
}

export default function createServer({ session, serverOptions }) {
  const server = new McpServer({ name: 'films', version: '1.0.0' }, serverOptions);
  server.registerTool('count', {}, async () => text(await session.state.update('n', (n) => (n ?? 0) + 1)));
  server.registerTool('plain', {}, () => text('plain'));
  server.registerTool('film', { inputSchema: z.object({}) }, handler);
  return server;
}
