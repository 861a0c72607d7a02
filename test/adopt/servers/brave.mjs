import createMcpServer from '@brave/brave-search-mcp-server/dist/server.js';

export default createMcpServer;
