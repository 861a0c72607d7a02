/** Prompts: without arguments, and with arguments that complete while the user types. */
import { completable, type McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

const languages = ['c', 'css', 'go', 'html', 'java', 'javascript', 'python', 'ruby', 'rust', 'sql', 'typescript'];

const introduce = { description: 'Introduces this server' };

const review = {
  description: 'Asks for a code review',
  argsSchema: z.object({
    language: completable(z.string().describe('Programming language'), (typed) =>
      languages.filter((language) => language.startsWith(typed.toLowerCase())),
    ),
    code: z.string(),
  }),
};

const ask = (text: string) => ({ messages: [{ role: 'user' as const, content: { type: 'text' as const, text } }] });

export function registerPrompts(server: McpServer): void {
  server.registerPrompt('introduce', introduce, () => ask('Which tools does this server have, and what do they show?'));
  server.registerPrompt('review', review, ({ language, code }) => ask(`Review this ${language} code:\n\n${code}`));
}
