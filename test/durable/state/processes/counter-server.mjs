/**
 * An instance whose tool `count` counts behind a handle, and whose tool `new` makes one.
 *
 *     node counter-server.mjs <kind> <target>
 */
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { createMcpEndpoint, openHandle } from '../../../../dist/index.js';

const [kind, target] = process.argv.slice(2);
const said = (text) => ({ content: [{ type: 'text', text: String(text) }] });

const { [kind]: open } = await import(
  kind === 'sqlite' ? '../../../../dist/stores/sqlite/index.js' : `sojourn-${kind}`
);
const endpoint = createMcpEndpoint(
  () => {
    const server = new McpServer({ name: 'counter', version: '1.0.0' });
    server.registerTool('new', {}, async () => said((await openHandle('counter')).id));
    server.registerTool('count', { inputSchema: z.object({ id: z.string() }) }, async ({ id }) =>
      said(await (await openHandle('counter', id)).state.update('n', (n = 0) => n + 1)),
    );
    return server;
  },
  { store: open(target), leaseMs: 1_000, logger: false },
);
console.log(`url ${(await endpoint.listen({ port: 0 })).url}`);
