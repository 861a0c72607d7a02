/**
 * Data that a session keeps. `session.state` outlives the server object: it is still there after a restart or on
 * another instance. Everything else that a factory or a handler holds is created anew when the session is restored. So
 * the factory reads the state to decide what to create.
 */
import type { McpServer, RegisteredTool } from '@modelcontextprotocol/server';
import type { McpSession } from 'sojourn';

const counter = { description: 'Counts how often this session called it' };
const unlock = { description: 'Adds the tool "secret" to this session (tools/list_changed)' };
const secret = { description: 'There only after "unlock"', annotations: { readOnlyHint: true } };

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });
const noSession = () =>
  say('This request has no session (2026-07-28, or stateless serving): there is nothing to keep a value in.');

async function increment(session: McpSession | undefined) {
  if (session === undefined) return noSession();
  const calls = await session.state.update('counter', (before = 0) => before + 1);
  return say(`This session called me ${calls} ${calls === 1 ? 'time' : 'times'}.`);
}

async function showSecret(session: McpSession | undefined, tool: RegisteredTool) {
  if (session === undefined) return noSession();
  await session.state.set('unlocked', true);
  tool.enable();
  return say('Look at the list of tools again.');
}

export async function registerSessionTools(server: McpServer, session: McpSession | undefined): Promise<void> {
  server.registerTool('counter', counter, () => increment(session));
  const hidden = server.registerTool('secret', secret, () => say('Sessions may outlive their process.'));
  server.registerTool('unlock', unlock, () => showSecret(session, hidden));
  if (!(await session?.state.get('unlocked'))) hidden.disable();
}
