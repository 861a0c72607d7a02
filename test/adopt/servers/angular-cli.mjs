import { createRequire } from 'node:module';

const { createMcpServer } = createRequire(import.meta.url)(
  '@angular/cli/src/commands/mcp/mcp-server.js',
);
const logger = { info: console.error, warn: console.error };
export default () =>
  createMcpServer({ workspace: undefined, readOnly: false, localOnly: true }, logger);
