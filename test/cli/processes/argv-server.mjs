/** Reads its arguments when it loads, like servers that were written for stdio, and serves what it saw. */
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { McpServer } from '@modelcontextprotocol/server';

const seen = [...process.argv];
if (argv !== process.argv) throw new Error('two lists of arguments');
// The habit of modules that are a program too.
if (seen[1] === fileURLToPath(import.meta.url)) throw new Error('it would start another server');

const server = new McpServer({ name: 'argv', version: '1.0.0' });
server.registerTool('argv', {}, () => ({
  content: [{ type: 'text', text: JSON.stringify([process.pid, ...seen]) }],
}));
export default server;
