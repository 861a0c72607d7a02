/**
 * Code around a whole session: it opens a resource when the session starts, handlers use the resource, and it is closed
 * however the session ends. Here it is a notebook; it could be a database connection, a browser or a child process.
 *
 *     npx tsx server.ts
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint, type RunSessionHandler } from 'sojourn';
import { z } from 'zod';

interface Notebook {
  readonly lines: string[];
  close(): Promise<void>;
}

const notebooks = new AsyncLocalStorage<Notebook>();

async function openNotebook(owner: string): Promise<Notebook> {
  console.log(`opened for ${owner}`);
  const lines: string[] = [];
  return { lines, close: async () => console.log(`closed for ${owner} with ${lines.length} lines`) };
}

/** `run()` resolves when the session leaves this instance: DELETE, idle timeout, shutdown … Returning earlier ends it. */
const runSessionHandler: RunSessionHandler = async (_request, session, run) => {
  const notebook = await openNotebook(session.clientInfo.name);
  try {
    const reason = await notebooks.run(notebook, run);
    console.log(`left: ${reason}`);
  } finally {
    await notebook.close();
  }
};

const write = {
  description: 'Writes a line into the notebook of this session',
  inputSchema: z.object({ line: z.string() }),
};
const writeLine = ({ line }: { line: string }) => {
  const lines = notebooks.getStore()?.lines ?? [];
  lines.push(line);
  return { content: [{ type: 'text' as const, text: `${lines.length} lines` }] };
};

const endpoint = createMcpEndpoint(
  (ctx) => {
    const server = new McpServer({ name: 'run-session-handler-example', version: '1.0.0' }, { ...ctx.serverOptions });
    server.registerTool('write', write, writeLine);
    return server;
  },
  {
    sessionMode: 'stateful',
    runSessionHandler,
    // Handlers run in the async context in which `run()` was called, so they find their notebook there.
    perSessionExecutionContext: true,
  },
);

const { url } = await endpoint.listen({ port: Number(process.env['PORT'] ?? 3000) });
console.log(url);

async function stop(): Promise<void> {
  await endpoint.drain();
  await endpoint.close();
}
process.once('SIGTERM', () => void stop());
