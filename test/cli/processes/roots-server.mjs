/**
 * Asks for the folders of its client in `oninitialized` and keeps them in a variable, as published servers do. `SDK`:
 * the line of its SDK.
 */
import { realpath } from 'node:fs/promises';

const { SDK = '1' } = process.env;
const { McpServer } = await import(
  SDK === '1' ? '@modelcontextprotocol/sdk/server/mcp.js' : '@modelcontextprotocol/server'
);

let folders = [];
let failure;

const server = new McpServer({ name: 'folders', version: '1.0.0' });
server.registerTool('folders', { annotations: { readOnlyHint: true } }, () => ({
  content: [{ type: 'text', text: `${process.pid} ${failure ?? folders.join(' ')}` }],
}));
server.server.oninitialized = async () => {
  if (server.server.getClientCapabilities()?.roots === undefined) return;
  try {
    const { roots } = await server.server.listRoots();
    await realpath('.');
    folders = roots.map(({ uri }) => uri);
  } catch (error) {
    failure = String(error);
  }
};

export default server;
