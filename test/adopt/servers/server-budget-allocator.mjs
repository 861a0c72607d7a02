export { createServer as default } from '@modelcontextprotocol/server-budget-allocator';
