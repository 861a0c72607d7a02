/** Tools that answer at once, tools that send messages before their result, and prompts. */
import { setTimeout as delay } from 'node:timers/promises';
import { completable, type McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

export const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA==';

/** Safe to run again: when the owner of a call crashes, another instance restarts the call. */
const annotations = { readOnlyHint: true };

export const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });

const echo = {
  description: 'Text in, the same text out',
  inputSchema: z.object({ message: z.string().describe('What to say back') }),
  annotations,
};
const add = {
  description: 'Adds two numbers; the sum comes as structured content that fits the output schema',
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  outputSchema: z.object({ sum: z.number() }),
  annotations,
};
const media = { description: 'An image, audio, a resource and a link to a resource', annotations };
const fail = { description: 'Throws: the client gets a result with isError', annotations };

export function registerContentTools(server: McpServer): void {
  server.registerTool('echo', echo, ({ message }) => say(message));
  server.registerTool('add', add, ({ a, b }) => ({
    ...say(String(a + b)),
    structuredContent: { sum: a + b },
  }));
  server.registerTool('media', media, () => ({
    content: [
      { type: 'image', data: PNG, mimeType: 'image/png' },
      { type: 'audio', data: WAV, mimeType: 'audio/wav' },
      {
        type: 'resource',
        resource: { uri: 'everything://inline', text: 'A resource inside an answer.' },
      },
      { type: 'resource_link', uri: 'everything://about', name: 'about' },
    ],
  }));
  server.registerTool('fail', fail, () => {
    throw new Error('This tool always fails.');
  });
}

const count = {
  description: 'Counts slowly, with progress at each step; cancelling the request stops it',
  inputSchema: z.object({
    steps: z.int().min(1).max(1_000).default(10),
    delayMs: z.int().min(0).max(60_000).default(500).describe('How long each step takes'),
  }),
  annotations,
};
const LEVELS = [
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
] as const;
const log = {
  description:
    'Sends a log message; a client that asked for less (logging/setLevel) does not get it',
  inputSchema: z.object({ message: z.string(), level: z.enum(LEVELS).default('info') }),
  annotations,
};

export function registerRunningTools(server: McpServer): void {
  server.registerTool(
    'count',
    count,
    async ({ steps, delayMs }, { mcpReq: { signal, notify, _meta } }) => {
      for (let progress = 1; progress <= steps; progress += 1) {
        // Rejects as soon as the client cancels or the session ends, because no client waits for the rest.
        await delay(delayMs, undefined, { signal });
        const { progressToken } = _meta ?? {};
        if (progressToken === undefined) continue;
        await notify({
          method: 'notifications/progress',
          params: { progressToken, progress, total: steps },
        });
      }
      return say(`Counted to ${steps}.`);
    },
  );
  server.registerTool('log', log, async ({ message, level }, ctx) => {
    await ctx.mcpReq.log(level, message, 'everything');
    return say(`Logged at ${level}.`);
  });
}

const LANGUAGES = ['c', 'go', 'java', 'javascript', 'python', 'ruby', 'rust', 'sql', 'typescript'];
const review = {
  description: 'Asks for a code review; the language completes while the user types',
  argsSchema: z.object({
    language: completable(z.string(), (typed) =>
      LANGUAGES.filter((language) => language.startsWith(typed.toLowerCase())),
    ),
    code: z.string(),
  }),
};
const ask = (text: string) => ({
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text } }],
});

export function registerPrompts(server: McpServer): void {
  server.registerPrompt('introduce', { description: 'Introduces this server' }, () =>
    ask('Which tools are there?'),
  );
  server.registerPrompt('review', review, ({ language, code }) =>
    ask(`Review this ${language} code:\n\n${code}`),
  );
}
