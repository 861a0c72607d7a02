/** What users sign in for: their notes, which each of their clients finds. */
import { McpServer, requireScopes } from '@modelcontextprotocol/server';
import { userState } from 'sojourn';
import { z } from 'zod';

const say = (text) => ({ content: [{ type: 'text', text }] });
const add = { description: 'Adds a note', inputSchema: z.object({ note: z.string() }) };
// A client whose token lacks the scope asks its user for it.
const clear = { description: 'Deletes all notes', scopeChallenge: requireScopes('notes:delete') };

export const server = new McpServer({ name: 'notes', version: '1.0.0' });
server.registerTool('add_note', add, async ({ note }) => {
  const notes = await userState().update('notes', (before = []) => [...before, note]);
  return say(`You have ${notes.length} notes.`);
});
server.registerTool('list_notes', { annotations: { readOnlyHint: true } }, async () =>
  say(((await userState().get('notes')) ?? []).join('\n') || 'You have no notes.'),
);
server.registerTool('delete_notes', clear, async () => {
  await userState().delete('notes');
  return say('You have no notes.');
});

export default server;
