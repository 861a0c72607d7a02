import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';

/** What the route gives to createMcpHandler(). */
const initialize = (server) =>
  server.registerTool(
    'roll_dice',
    { inputSchema: z.object({ sides: z.number() }) },
    ({ sides }) => ({
      content: [{ type: 'text', text: `You rolled a ${1 + Math.floor(Math.random() * sides)}` }],
    }),
  );

// In place of createMcpHandler(initialize):
export default () => {
  const server = new McpServer({ name: 'dice', version: '1.0.0' });
  initialize(server);
  return server;
};
