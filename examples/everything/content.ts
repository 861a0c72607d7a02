/** Tools that answer at once: text, structured output, images, audio, resources, an error. */
import type { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const wav = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA==';

const echo = {
  description: 'Text in, the same text out',
  inputSchema: z.object({ message: z.string().describe('What to say back') }),
  annotations: { readOnlyHint: true },
};

const add = {
  description: 'Adds two numbers; the sum comes as structured content that fits the output schema',
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  outputSchema: z.object({ sum: z.number() }),
  annotations: { readOnlyHint: true },
};

const media = {
  description: 'One of every other kind of content: an image, audio, a resource, a link to a resource',
  annotations: { readOnlyHint: true },
};

const fail = { description: 'Throws: the client gets a result with isError', annotations: { readOnlyHint: true } };

function sayBack({ message }: { message: string }) {
  return { content: [{ type: 'text' as const, text: message }] };
}

function addUp({ a, b }: { a: number; b: number }) {
  const sum = a + b;
  return { content: [{ type: 'text' as const, text: String(sum) }], structuredContent: { sum } };
}

function showMedia() {
  return {
    content: [
      { type: 'image' as const, data: png, mimeType: 'image/png' },
      { type: 'audio' as const, data: wav, mimeType: 'audio/wav' },
      {
        type: 'resource' as const,
        resource: { uri: 'everything://inline', mimeType: 'text/plain', text: 'A resource inside an answer.' },
      },
      { type: 'resource_link' as const, uri: 'everything://about', name: 'about', mimeType: 'text/markdown' },
    ],
  };
}

function throwError(): never {
  throw new Error('This tool always fails.');
}

export function registerContentTools(server: McpServer): void {
  server.registerTool('echo', echo, sayBack);
  server.registerTool('add', add, addUp);
  server.registerTool('media', media, showMedia);
  server.registerTool('fail', fail, throwError);
}
