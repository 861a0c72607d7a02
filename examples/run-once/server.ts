/**
 * A shop whose tool `pay` charges once for each order, although its call is sent again.
 *
 *     BANK=http://127.0.0.1:4000 sojourn serve server.ts --store sqlite:./sessions.db
 *
 * `main.ts` runs the bank, kills this server in the middle of a payment, and sends the call again.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { type McpEndpointContext, once, RUNS_ONCE } from 'sojourn';
import { z } from 'zod';

const { BANK = 'http://127.0.0.1:4000' } = process.env;
const inputSchema = z.object({ order: z.string(), cents: z.int() });
type Order = z.infer<typeof inputSchema>;

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });
const ask = async (method: string, { order, cents }: Order): Promise<string> =>
  (await fetch(`${BANK}/charges/${encodeURIComponent(order)}?cents=${cents}`, { method })).text();

const pay = once(async (order: Order) => say(await ask('POST', order)), {
  key: ({ order }) => order,
  anonymous: 'shared', // without users; see the page on authorization
  // The server died in the middle. The bank knows whether it was charged.
  afterCrash: async (order) => {
    const charged = await ask('GET', order);
    return charged === '' ? 'run' : say(charged);
  },
});

export default function factory({ serverOptions }: McpEndpointContext): McpServer {
  const server = new McpServer({ name: 'shop', version: '1.0.0' }, { ...serverOptions });
  server.registerTool('pay', { description: 'Pays an order', inputSchema, _meta: RUNS_ONCE }, pay);
  return server;
}
