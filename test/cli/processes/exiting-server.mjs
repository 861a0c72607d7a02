/** It ends at the signals by itself, like many programs that were written for stdio. */
import { McpServer } from '@modelcontextprotocol/server';

process.on('SIGTERM', () => process.exit(7));
process.once('SIGINT', () => process.exit(7));

export default () => new McpServer({ name: 'exiting', version: '1.0.0' });
