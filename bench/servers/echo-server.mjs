import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

// Schema and handler are outside the factory, so that every side has the same cost per session.
const inputSchema = z.object({ text: z.string() });
const annotations = { readOnlyHint: true };
const echo = ({ text }) => ({ content: [{ type: 'text', text }] });

/** BENCH_TOOLS: how many tools a server has. The first is `echo`; the others are like it. */
const names = Array.from({ length: Number(process.env.BENCH_TOOLS ?? '1') }, (_, n) =>
  n === 0 ? 'echo' : `echo-${n}`,
);

/**
 * The server that every side serves: by default, a single echo tool. `ctx.serverOptions` is sojourn's addition to the
 * SDK's context.
 */
export function buildEchoServer(ctx) {
  const server = new McpServer({ name: 'bench', version: '1.0.0' }, { ...ctx?.serverOptions });
  for (const name of names)
    server.registerTool(
      name,
      { description: 'Answers with its input', inputSchema, annotations },
      echo,
    );
  return server;
}
