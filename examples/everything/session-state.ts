/**
 * Data that a session keeps. `session.state` outlives the server object: it is still there after a restart or on
 * another instance. Everything else that a factory or a handler holds is created anew when the session is restored. So
 * the factory reads the state to decide what to create.
 */
import type { McpServer } from '@modelcontextprotocol/server';
import type { McpSession } from 'sojourn';
import { say } from './content.ts';

const counter = { description: 'Counts how often this session called it' };
const unlock = { description: 'Adds the tool "secret" to this session (tools/list_changed)' };
const secret = { description: 'There only after "unlock"', annotations: { readOnlyHint: true } };
const NO_SESSION =
  'This request has no session (2026-07-28, or stateless serving): there is nothing to keep a value in.';

export async function registerSessionTools(
  server: McpServer,
  session: McpSession | undefined,
): Promise<void> {
  server.registerTool('counter', counter, async () => {
    if (session === undefined) return say(NO_SESSION);
    const calls = await session.state.update('counter', (before = 0) => before + 1);
    return say(`This session called me ${calls} ${calls === 1 ? 'time' : 'times'}.`);
  });
  const hidden = server.registerTool('secret', secret, () =>
    say('Sessions may outlive their process.'),
  );
  if (!(await session?.state.get('unlocked'))) hidden.disable();
  server.registerTool('unlock', unlock, async () => {
    if (session === undefined) return say(NO_SESSION);
    await session.state.set('unlocked', true);
    hidden.enable();
    return say('Look at the list of tools again.');
  });
}
