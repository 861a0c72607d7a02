import { ActorsMcpServer } from '@apify/actors-mcp-server';
import { ApifyClient } from '@apify/actors-mcp-server/internals';
import { InMemoryTaskStore } from '@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js';

const token = process.env.APIFY_TOKEN;
const taskStore = new InMemoryTaskStore();
const options = { transportType: 'sse', setupSigintHandler: false, telemetry: { enabled: false }, taskStore, token };
export default async () => {
  const server = new ActorsMcpServer(options);
  await server.loadToolsFromUrl('/sse?tools=docs', new ApifyClient({ token }));
  return server;
};
