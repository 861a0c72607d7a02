/** Tools that run for a while and send messages before their result. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LoggingLevel, McpServer, ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';

const count = {
  description: 'Counts slowly, with progress at each step; cancelling the request stops it',
  inputSchema: z.object({
    steps: z.int().min(1).max(1_000).default(10),
    delayMs: z.int().min(0).max(60_000).default(500).describe('How long each step takes'),
  }),
  // Safe to run again: when the owner crashes, another instance restarts the call.
  annotations: { readOnlyHint: true },
};

const levels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;

const log = {
  description: 'Sends a log message; a client that asked for less (logging/setLevel) does not get it',
  inputSchema: z.object({ message: z.string(), level: z.enum(levels).default('info') }),
  annotations: { readOnlyHint: true },
};

async function countSlowly({ steps, delayMs }: { steps: number; delayMs: number }, ctx: ServerContext) {
  const { signal, notify, _meta } = ctx.mcpReq;
  for (let step = 1; step <= steps; step += 1) {
    // Rejects as soon as the client cancels or the session ends, because no client waits for the rest.
    await delay(delayMs, undefined, { signal });
    if (_meta?.progressToken === undefined) continue;
    const params = { progressToken: _meta.progressToken, progress: step, total: steps, message: `step ${step}` };
    await notify({ method: 'notifications/progress', params });
  }
  return { content: [{ type: 'text' as const, text: `Counted to ${steps}.` }] };
}

async function sendLog({ message, level }: { message: string; level: LoggingLevel }, ctx: ServerContext) {
  await ctx.mcpReq.log(level, message, 'everything');
  return { content: [{ type: 'text' as const, text: `Logged at ${level}.` }] };
}

export function registerRunningTools(server: McpServer): void {
  server.registerTool('count', count, countSlowly);
  server.registerTool('log', log, sendLog);
}
