/** A counter in `session.state`, and calls that are still running when their process is killed. */
import { appendFileSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });

const question = {
  message: 'Which colour?',
  requestedSchema: { type: 'object', properties: { colour: { type: 'string' } } },
};

/** The first process never answers: it is killed. The next one does. */
const stay = () => (process.env.ANSWERS === 'yes' ? Promise.resolve() : new Promise(() => {}));

export default function createServer(ctx) {
  const server = new McpServer({ name: 'durable', version: '1.0.0' });
  server.registerTool('count', {}, async () =>
    text(`${await ctx.session.state.update('n', (n) => (n ?? 0) + 1)} restored ${ctx.restored}`),
  );
  server.registerTool('announce', {}, async () => {
    server.sendToolListChanged();
    return text('announced');
  });
  server.registerTool('ask', {}, async (call) =>
    text((await call.mcpReq.elicitInput(question)).content?.colour),
  );
  for (const [name, annotations] of [
    ['pay', {}],
    ['look', { readOnlyHint: true }],
  ]) {
    server.registerTool(name, { annotations }, async () => {
      appendFileSync(process.env.EFFECTS, `${name}\n`);
      await stay();
      return text(`${name} done`);
    });
  }
  return server;
}
