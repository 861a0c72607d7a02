/** Serves a program of any language that speaks MCP on stdio (`sojourn/stdio`). */
export { stdioServer, type StdioServer } from './stdio-server.ts';
export type { StdioOptions } from './stdio-options.ts';
