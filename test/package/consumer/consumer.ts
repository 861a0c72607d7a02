import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint, type McpSession } from 'sojourn';
import { memory } from 'sojourn/memory';
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
  const later = await state.update('later', async (before?: number) => (before ?? 0) + mistaken);
  const cart = await state.update('cart', (before: string[] = []) => [...before, 'bread']);
  return [calls, later, cart, await state.update<number>('named', (before) => (before ?? 0) + 1)];
}

const response: Response = await endpoint.fetch(new Request('http://localhost/mcp'));
const { port, url }: { port: number; url: string } = await endpoint.listen({ port: 0 });
const { released, interrupted }: { released: number; interrupted: number } = await endpoint.drain({ timeoutMs: 1 });
await endpoint.close();

export { interrupted, port, released, response, testing, update, url };
