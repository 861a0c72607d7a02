import { fromJsonSchema, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { createMcpEndpoint, type McpSession, memory, once, type RunningTask, task } from 'sojourn';
import * as testing from 'sojourn/testing';
import manifest from 'sojourn/package.json' with { type: 'json' };

/**
 * What a user's editor sees: this file is compiled against the installed tarball, and its declarations are checked too.
 */
const endpoint = createMcpEndpoint(
  (context) => {
    const session: McpSession | undefined = context.session;
    return new McpServer({ name: session?.id ?? 'stateless', version: manifest.version });
  },
  { store: memory(), idleTimeoutMs: 60_000, limits: { bodyBytes: 1_024 }, retryMs: undefined },
);

// @ts-expect-error an option that does not exist
createMcpEndpoint(() => new McpServer({ name: 'x', version: '1' }), { idleTimeout: 1 });

async function update({ state }: McpSession): Promise<[number, number, string[], number]> {
  // @ts-expect-error a value that is a string
  const mistaken: number = await state.update('name', (before = '') => before);
  const calls = await state.update('calls', (before = 0) => before + 1);
  const later = await state.update('later', (before?: number) => (before ?? 0) + mistaken);
  const cart = await state.update('cart', (before: string[] = []) => [...before, 'bread']);
  return [calls, later, cart, await state.update<number>('named', (before) => (before ?? 0) + 1)];
}

// The page on tasks says which handlers are inferred.
const server = new McpServer({ name: 'tools', version: '1' });
const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] });
const step = { inputSchema: fromJsonSchema<{ order: string }>({ type: 'object' }) };
server.registerTool(
  'inferred',
  step,
  task(async ({ order }, _, task) => text(await task.step('a', () => order))),
);
server.registerTool(
  'written',
  {},
  task(async (_: ServerContext, { attempt }: RunningTask) => text(String(attempt))),
);
server.registerTool(
  'once',
  step,
  once(({ order }) => text(order), { key: ({ order }) => order }),
);

const response: Response = await endpoint.fetch(new Request('http://localhost/mcp'));
const { port, url }: { port: number; url: string } = await endpoint.listen({ port: 0 });
const { released, interrupted }: { released: number; interrupted: number } = await endpoint.drain({
  timeoutMs: 1,
});
await endpoint.close();

export { interrupted, port, released, response, testing, update, url };
