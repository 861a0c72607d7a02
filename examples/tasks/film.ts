/**
 * A tool of two long steps. A crash in the second one does not repeat the first.
 *
 *     FARM=http://127.0.0.1:4000 sojourn serve film.ts --tasks --store sqlite:./films.db
 *
 * `client.ts` runs the farm, kills this server in the second step, and follows the task at another one.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { type McpEndpointContext, task } from 'sojourn';
import { z } from 'zod';

const { FARM = 'http://127.0.0.1:4000' } = process.env;
const inputSchema = z.object({ scene: z.string() });

/** The key lets the farm tell a repeated order from a new one. */
const order = async (what: string, key: string): Promise<string> =>
  (await fetch(`${FARM}/${what}`, { method: 'POST', headers: { 'Idempotency-Key': key } })).text();

export default function factory({ serverOptions }: McpEndpointContext): McpServer {
  const server = new McpServer({ name: 'films', version: '1.0.0' }, { ...serverOptions });
  server.registerTool(
    'film',
    { description: 'Films a scene', inputSchema },
    task(
      async ({ scene }, _ctx, own) => {
        const frames = await own.step('frames', (key) => order(`frames-of-${scene}`, key));
        own.status(`rendered ${frames}, run ${own.attempt}`);
        const film = await own.step('film', (key) => order(`film-of-${scene}`, key));
        return { content: [{ type: 'text', text: film }] };
      },
      { afterCrash: 'run' },
    ),
  );
  return server;
}
