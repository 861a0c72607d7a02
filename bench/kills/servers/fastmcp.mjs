/** fastmcp as its README has it; `count` keeps its numbers by `sessionId`, as its session counter does. */
import { FastMCP } from 'fastmcp';
import * as z from 'zod';
import { QUESTION, ran, READ_ONLY, slowly } from './tools.mjs';

const parameters = z.object({ nonce: z.string() });
const counts = new Map();
const server = new FastMCP({ name: 'kills', version: '1.0.0' });
const add = (name, annotations, execute) =>
  server.addTool({ name, description: name, parameters, annotations, execute });

add('echo', READ_ONLY, async ({ nonce }) => nonce);
add('slow', READ_ONLY, ({ nonce }) => slowly(nonce));
add('count', {}, async ({ nonce }, { sessionId }) => {
  ran('count', nonce);
  counts.set(sessionId, (counts.get(sessionId) ?? 0) + 1);
  return String(counts.get(sessionId));
});
add('ask', {}, async ({ nonce }, { elicit }) => {
  const { content } = await elicit(QUESTION);
  ran('ask', nonce);
  return content.colour;
});

await server.start({
  transportType: 'httpStream',
  httpStream: { port: Number(process.env.PORT), host: '127.0.0.1' },
});
