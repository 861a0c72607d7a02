/**
 * What a server remembers, over restarts and at every instance. Which of the three:
 *
 *     userState()     one for each user: for all clients and calls of that user, of every revision
 *     openHandle()    as many as the model makes, each with an id that it passes back: a cart, a game
 *     session.state   one for each session, which clients before 2026-07-28 have: what the factory reads to build a server
 */
import type { McpServer } from '@modelcontextprotocol/server';
import { listHandles, type McpSession, openHandle, userState } from 'sojourn';
import { z } from 'zod';
import { say } from './content.ts';

const counter = {
  description: 'Counts the calls of its user; callers without a user have one count together',
};
const add = {
  description:
    'Adds an item to a cart. Without `cart` it makes one, which lasts 24 h after its last use',
  inputSchema: z.object({
    item: z.string(),
    cart: z.string().optional().describe('As an earlier call returned it'),
  }),
};
const carts = { description: 'The carts of this user', annotations: { readOnlyHint: true } };
const unlock = { description: 'Adds the tool "secret" to this session (tools/list_changed)' };
const secret = { description: 'There only after "unlock"', annotations: { readOnlyHint: true } };

export async function registerStateTools(
  server: McpServer,
  session: McpSession | undefined,
): Promise<void> {
  server.registerTool('counter', counter, async () => {
    const calls = await userState({ anonymous: 'shared' }).update(
      'counter',
      (before = 0) => before + 1,
    );
    return say(`call ${calls}`);
  });
  server.registerTool('add_to_cart', add, async ({ item, cart: id }) => {
    const cart = await openHandle('cart', id, { initial: { items: [] } });
    const items = await cart.state.update('items', (before: string[]) => [...before, item]);
    return say(`cart ${cart.id} has ${items.length} items`);
  });
  server.registerTool('carts', carts, async () => {
    const found = await listHandles('cart');
    return say(found.map(({ id }) => id).join('\n') || 'There are no carts.');
  });

  // The list of tools is of a session: clients of 2026-07-28 have none.
  if (session === undefined) return;
  const hidden = server.registerTool('secret', secret, () =>
    say('Sessions may outlive their process.'),
  );
  if (!(await session.state.get('unlocked'))) hidden.disable();
  server.registerTool('unlock', unlock, async () => {
    await session.state.set('unlocked', true);
    hidden.enable();
    return say('Look at the list of tools again.');
  });
}
