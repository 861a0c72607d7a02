/** A question that cannot be sent is refused, and the server of any version keeps nothing of it. */
import { McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { test } from 'vitest';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const info = { name: 'asking', version: '1.0.0' };

/** What all tables of a server hold. */
const entriesOf = ({ server }: { readonly server: object }): number =>
  Object.values(server).reduce((sum: number, value) => sum + (value instanceof Map ? value.size : 0), 0);

test.each([
  ['2', () => new McpServer(info)],
  ['1', () => new McpServerV1(info) as unknown as McpServer],
])('a server of SDK %s forgets a refused question', async (_, create) => {
  const made: McpServer[] = [];
  const { openSession } = await serve(() => {
    made.push(create());
    return made[0] as McpServer;
  });
  await openSession();
  const [server] = made as [McpServer];
  const before = entriesOf(server);
  // Its client has no GET stream, and a session keeps 16 questions for one. The SDK has two entries for each of these.
  const refused: unknown[] = [];
  for (let n = 0; n < 48; n++) server.server.ping().catch((error: unknown) => refused.push(error));
  await until(() => refused.length >= 32);
  await until(() => entriesOf(server) <= before + 2 * 16);
});
