export { createServer as default } from '@modelcontextprotocol/server-map';
