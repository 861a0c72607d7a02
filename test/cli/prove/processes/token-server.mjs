/** It serves no caller without a token. */
import { McpServer } from '@modelcontextprotocol/server';

const server = new McpServer({ name: 'token', version: '1.0.0' });
export default { server, options: { auth: { verify: async () => undefined } } };
