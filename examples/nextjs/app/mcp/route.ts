/**
 * A route handler of Next.js: `app/mcp/route.ts`. For `next start` or another server that keeps running: with the
 * memory store a session lives in one process.
 */
import { McpServer } from '@modelcontextprotocol/server';
import {
  createMcpEndpoint,
  type McpEndpoint,
  type McpEndpointContext,
  memory,
  type Store,
} from 'sojourn';
import { z } from 'zod';

const greet = { description: 'Greets a person', inputSchema: z.object({ name: z.string() }) };
const sayHello = ({ name }: { name: string }) => ({
  content: [{ type: 'text' as const, text: `Hello ${name}!` }],
});

function makeServer({ serverOptions }: McpEndpointContext): McpServer {
  const server = new McpServer({ name: 'nextjs-example', version: '1.0.0' }, { ...serverOptions });
  server.registerTool('greet', greet, sayHello);
  return server;
}

// `next dev` runs this file again after every edit. Keep the store: it has the sessions. Make a new endpoint: it has the
// edited server. The old endpoint finishes its calls and gives its sessions to the new one.
const kept = globalThis as { mcpStore?: Store; mcpEndpoint?: McpEndpoint };

async function stop(endpoint = kept.mcpEndpoint): Promise<void> {
  await endpoint?.drain();
  await endpoint?.close();
}

function makeEndpoint(): McpEndpoint {
  const old = kept.mcpEndpoint;
  const endpoint = createMcpEndpoint(makeServer, { store: (kept.mcpStore ??= memory()) });
  kept.mcpEndpoint = endpoint;
  if (old !== undefined) void stop(old);
  // Next.js waits for open streams before it exits, so end them.
  else for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop());
  return endpoint;
}

// At the first request: `next build` also runs this file, and needs no store.
let endpoint: McpEndpoint | undefined;
const handle = (request: Request): Promise<Response> =>
  (endpoint ??= makeEndpoint()).fetch(request);

// Without OPTIONS, Next.js answers the preflights of web pages by itself, and refuses them all.
export { handle as DELETE, handle as GET, handle as OPTIONS, handle as POST };
