import { FastMCP } from 'fastmcp';
import { z } from 'zod';
import { freePort, listens } from './listening.mjs';

const server = new FastMCP({ name: 'bench', version: '1.0.0' });
server.addTool({
  name: 'echo',
  description: 'Answers with its input',
  parameters: z.object({ text: z.string() }),
  execute: async ({ text }) => text,
});
const port = await freePort();
await server.start({ transportType: 'httpStream', httpStream: { port } });
listens(port);
