export { Client as C1 } from '@modelcontextprotocol/sdk/client/index.js';
export { StreamableHTTPClientTransport as T1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
