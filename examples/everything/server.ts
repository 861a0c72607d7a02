/**
 * A server that uses every part of the protocol, for clients of every revision:
 *
 *     sojourn serve examples/everything/server.ts
 *
 * Schemas are created once, in the files beside this one. The factory runs for every session (2025 era) and for every
 * request (2026-07-28): a schema created here would be created again each time.
 */
import { InMemoryServerEventBus, McpServer } from '@modelcontextprotocol/server';
import type { McpEndpointContext } from 'sojourn';
import { registerContentTools, registerPrompts, registerRunningTools } from './content.ts';
import { registerNotes } from './notes.ts';
import { registerQuestionTools } from './questions.ts';
import { registerStateTools } from './state.ts';

/** Handlers announce changes here. The endpoint notifies every client that listens, of every revision. */
const bus = new InMemoryServerEventBus();

async function factory(ctx: McpEndpointContext): Promise<McpServer> {
  const server = new McpServer(
    { name: 'everything', version: '1.0.0', title: 'Everything' },
    {
      ...ctx.serverOptions,
      capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
      instructions: 'A demonstration: every tool says in its description what it shows.',
      requestState: { verify: ctx.requestState.verify },
    },
  );
  registerContentTools(server);
  registerRunningTools(server);
  registerQuestionTools(server, ctx.requestState);
  registerNotes(server, bus);
  registerPrompts(server);
  await registerStateTools(server, ctx.session);
  return server;
}

export default { factory, options: { bus } };
