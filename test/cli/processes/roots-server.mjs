/** Asks for the folders of its client in `oninitialized` and keeps them in a variable, as published servers do. */
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  CallToolRequestSchema,
  ListToolsRequestSchema,
  RootsListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';

let folders = [];
let failure;

const server = new Server({ name: 'folders', version: '1.0.0' }, { capabilities: { tools: {} } });
const read = async () => {
  try {
    folders = (await server.listRoots()).roots.map(({ uri }) => uri);
  } catch (error) {
    failure = String(error);
  }
};
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: [{ name: 'folders', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } }],
}));
server.setRequestHandler(CallToolRequestSchema, () => ({
  content: [{ type: 'text', text: `${process.pid} ${failure ?? folders.join(' ')}` }],
}));
server.setNotificationHandler(RootsListChangedNotificationSchema, read);
server.oninitialized = () => {
  if (server.getClientCapabilities()?.roots) void read();
};

export default server;
