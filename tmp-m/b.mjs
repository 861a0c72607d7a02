export { Client as C2, StreamableHTTPClientTransport as T2 } from '@modelcontextprotocol/client';
