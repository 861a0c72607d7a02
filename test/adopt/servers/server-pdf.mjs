import { createServer } from '@modelcontextprotocol/server-pdf';

export default () => createServer();
