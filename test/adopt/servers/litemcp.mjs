import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { LiteMCP } from 'litemcp';
import { z } from 'zod';

const lite = new LiteMCP('lite', '1.0.0');
lite.addTool({
  name: 'add',
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => {
    lite.logger.info('adds');
    setTimeout(() => lite.logger.info('has added'), 10);
    return String(a + b);
  },
});

// In place of lite.start():
export default () => {
  const server = new Server(
    { name: lite.name, version: lite.version },
    { capabilities: { logging: {}, tools: {} } },
  );
  lite.logger.setServer(server);
  lite.setupHandlers(server);
  return server;
};
