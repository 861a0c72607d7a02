/**
 * A server whose sessions can be restored: data that must survive is in `session.state`.
 *
 *     sojourn serve server.ts
 *
 * The factory runs when a session is opened, and again whenever it is restored. A variable of the factory is new then.
 * So `visits` below starts again at 0, and `cart` continues. Only some sessions have the tool `checkout`; it is there
 * again because the factory reads the state.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { currentSession, type McpEndpointContext } from 'sojourn';
import { z } from 'zod';

const add = { description: 'Puts something into the cart', inputSchema: z.object({ item: z.string() }) };
const show = { description: 'Shows the cart' };
const checkout = { description: 'Empties the cart; there once something is in it' };

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });

async function showCart(visits: number) {
  const cart = (await currentSession()?.state.get<string[]>('cart')) ?? [];
  return say(`cart: ${cart.join(', ') || 'empty'} (visits: ${visits})`);
}

async function emptyCart() {
  await currentSession()?.state.delete('cart');
  return say('Thank you.');
}

export default async function factory({ serverOptions, session }: McpEndpointContext): Promise<McpServer> {
  const server = new McpServer({ name: 'session-state-example', version: '1.0.0' }, { ...serverOptions });
  let visits = 0; // lost when the session is restored

  const checkoutTool = server.registerTool('checkout', checkout, emptyCart);
  if ((await session?.state.get('cart')) === undefined) checkoutTool.disable();

  server.registerTool('add', add, async ({ item }) => {
    const cart = await currentSession()?.state.update('cart', (before: string[] = []) => [...before, item]);
    if (!checkoutTool.enabled) checkoutTool.enable();
    return say(`${cart?.length ?? 0} in the cart`);
  });
  server.registerTool('show', show, () => showCart((visits += 1)));
  return server;
}
