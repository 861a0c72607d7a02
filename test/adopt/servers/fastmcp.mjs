import { FastMCP } from 'fastmcp';
import { z } from 'zod';

const server = new FastMCP({ name: 'fast', version: '1.0.0' });
server.addTool({
  name: 'add',
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => String(a + b),
});
server.addTool({
  name: 'roots',
  execute: async () => JSON.stringify(server.sessions.map(({ roots }) => roots)),
});

// In place of server.start({ transportType: 'httpStream' }):
export default () => {
  let session;
  return {
    connect: async (transport) => void (session = await server.connect(transport)),
    close: () => session?.close(),
  };
};
