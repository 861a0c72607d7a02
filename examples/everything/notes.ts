/**
 * Resources: a text, an image, and notes by name (a template with completion). `write-note` changes a note and
 * announces it: clients that listen or have subscribed get `resources/updated` or `resources/list_changed`.
 *
 * The notes live in this process and are shared by all sessions. Data of one session goes into `session.state`.
 */
import {
  type McpServer,
  ResourceNotFoundError,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import type { ServerEventBus } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { PNG, say } from './content.ts';

const MAX_NOTES = 100;
const notes = new Map([['welcome', 'Change me with the tool write-note.']]);

const about = {
  uri: 'everything://about',
  mimeType: 'text/markdown',
  text: '# A server that uses all of MCP',
};
const pixel = { uri: 'everything://pixel', mimeType: 'image/png', blob: PNG };
const template = new ResourceTemplate('note://{name}', {
  list: () => ({ resources: [...notes.keys()].map((name) => ({ uri: `note://${name}`, name })) }),
  complete: { name: (typed) => [...notes.keys()].filter((name) => name.startsWith(typed)) },
});
const writeNote = {
  description: 'Writes a note and notifies the clients that subscribed to it',
  inputSchema: z.object({
    name: z.string().regex(/^[a-z0-9-]{1,40}$/),
    text: z.string().max(10_000),
  }),
  annotations: { idempotentHint: true },
};

/** Nothing to do: the endpoint remembers the subscriptions of a session, also after a restore. */
const acknowledge = () => ({});

export function registerNotes(server: McpServer, bus: ServerEventBus): void {
  server.registerResource('about', about.uri, {}, () => ({ contents: [about] }));
  server.registerResource('pixel', pixel.uri, {}, () => ({ contents: [pixel] }));
  server.registerResource(
    'note',
    template,
    { description: 'A note by its name' },
    ({ href: uri }, { name }) => {
      const text = notes.get(String(name));
      if (text === undefined) throw new ResourceNotFoundError(uri);
      return { contents: [{ uri, mimeType: 'text/plain', text }] };
    },
  );
  server.registerTool('write-note', writeNote, ({ name, text }) => {
    const isNew = !notes.has(name);
    if (isNew && notes.size >= MAX_NOTES) throw new Error(`There are ${MAX_NOTES} notes already.`);
    notes.set(name, text);
    const uri = `note://${name}`;
    bus.publish(isNew ? { kind: 'resources_list_changed' } : { kind: 'resource_updated', uri });
    return say(`${isNew ? 'Wrote' : 'Changed'} ${uri}.`);
  });
  server.server.setRequestHandler('resources/subscribe', acknowledge);
  server.server.setRequestHandler('resources/unsubscribe', acknowledge);
}
