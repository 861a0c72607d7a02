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
  type ServerEventBus,
} from '@modelcontextprotocol/server';
import { z } from 'zod';

const maxNotes = 100;
const notes = new Map([['welcome', 'Change me with the tool write-note.']]);

const uriOf = (name: string) => `note://${name}`;

const template = new ResourceTemplate('note://{name}', {
  list: () => ({ resources: [...notes.keys()].map((name) => ({ uri: uriOf(name), name, mimeType: 'text/plain' })) }),
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

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

const about = {
  contents: [
    { uri: 'everything://about', mimeType: 'text/markdown', text: '# Everything\nA server that uses all of MCP.' },
  ],
};
const pixel = { contents: [{ uri: 'everything://pixel', mimeType: 'image/png', blob: png }] };

function readNote(uri: URL, { name }: { name?: string | string[] }) {
  const text = notes.get(String(name));
  if (text === undefined) throw new ResourceNotFoundError(uri.href);
  return { contents: [{ uri: uri.href, mimeType: 'text/plain', text }] };
}

function write({ name, text }: { name: string; text: string }, bus: ServerEventBus) {
  const isNew = !notes.has(name);
  if (isNew && notes.size >= maxNotes) throw new Error(`There are ${maxNotes} notes already.`);
  notes.set(name, text);
  bus.publish(isNew ? { kind: 'resources_list_changed' } : { kind: 'resource_updated', uri: uriOf(name) });
  return { content: [{ type: 'text' as const, text: `${isNew ? 'Wrote' : 'Changed'} ${uriOf(name)}.` }] };
}

/** Nothing to do: the endpoint remembers the subscriptions of a session, also after a restore. */
const acknowledge = () => ({});

export function registerNotes(server: McpServer, bus: ServerEventBus): void {
  server.registerResource('about', 'everything://about', { mimeType: 'text/markdown' }, () => about);
  server.registerResource('pixel', 'everything://pixel', { mimeType: 'image/png' }, () => pixel);
  server.registerResource('note', template, { description: 'A note by its name', mimeType: 'text/plain' }, readNote);
  server.registerTool('write-note', writeNote, (args) => write(args, bus));
  server.server.setRequestHandler('resources/subscribe', acknowledge);
  server.server.setRequestHandler('resources/unsubscribe', acknowledge);
}
