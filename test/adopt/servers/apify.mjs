import { randomUUID } from 'node:crypto';
import { ActorsMcpServer, createStatelessServer } from '@apify/actors-mcp-server';
import { ApifyClient } from '@apify/actors-mcp-server/internals';
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js';

const token = process.env.APIFY_TOKEN;
const taskStore = new InMemoryTaskStore();
const options = {
  transportType: 'http',
  setupSigintHandler: false,
  telemetry: { enabled: false },
  taskStore,
  token,
};
const TOOLS = '/?tools=docs';

// In place of the routes of its HTTP server:
export default async ({ era }) => {
  const server = new ActorsMcpServer(options);
  await server.loadToolsFromUrl(TOOLS, new ApifyClient({ token }));
  if (era === 'modern') return createStatelessServer(server, TOOLS);
  return {
    // It reads the session's id in `_meta` of each message: its transports write it there.
    async connect(transport) {
      await server.connect(transport);
      const deliver = transport.onmessage;
      const mcpSessionId = transport.sessionId ?? randomUUID();
      transport.onmessage = (message, extra) => {
        const { _meta, ...params } = message.params ?? {};
        deliver({ ...message, params: { ...params, _meta: { ..._meta, mcpSessionId } } }, extra);
      };
    },
    close: () => server.close(),
  };
};
