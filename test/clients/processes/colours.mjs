/**
 * What the clients of other languages call. `count` has an effect, `read` has none, `ask` puts a question to the user,
 * `reveal` changes the list of tools.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { acceptedContent, inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const colour = z.object({ colour: z.string() });
const question = {
  message: 'Which colour?',
  requestedSchema: {
    type: 'object',
    properties: { colour: { type: 'string' } },
    required: ['colour'],
  },
};
let counted = 0;

export default function createServer(ctx) {
  const server = new McpServer(
    { name: 'colours', version: '1.0.0' },
    { ...ctx.serverOptions, requestState: { verify: ctx.requestState.verify } },
  );
  const inputSchema = z.object({ ms: z.number().default(0), fill: z.string().default('') });
  server.registerTool(
    'read',
    { annotations: { readOnlyHint: true }, inputSchema },
    async ({ ms }) => {
      await pause(ms);
      return text('read');
    },
  );
  server.registerTool('count', { inputSchema }, async ({ ms }) => {
    counted += 1;
    await pause(ms);
    return text(counted);
  });
  const large = z.object({ ms: z.number(), bytes: z.number() });
  server.registerTool(
    'large',
    { annotations: { readOnlyHint: true }, inputSchema: large },
    async ({ ms, bytes }) => {
      await pause(ms);
      return text('x'.repeat(bytes));
    },
  );
  server.registerTool('ask', {}, async ({ mcpReq }) => {
    if (ctx.session === undefined) {
      const given = acceptedContent(mcpReq.inputResponses, 'colour', colour);
      return given === undefined
        ? inputRequired({ inputRequests: { colour: inputRequired.elicit(question) } })
        : text(given.colour);
    }
    const { content } = await mcpReq.elicitInput(question);
    return text(content?.colour);
  });
  const hidden = server.registerTool('hidden', {}, () => text('found'));
  hidden.disable();
  server.registerTool('reveal', {}, () => {
    hidden.enable();
    return text('look again');
  });
  return server;
}
