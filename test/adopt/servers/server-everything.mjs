import { createServer } from '@modelcontextprotocol/server-everything/dist/server/index.js';

export default () => createServer().server;
