import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint } from 'sojourn';

/** What a user may write by mistake: the compiler answers each line with one error that names what was meant. */
const server = new McpServer({ name: 'mistakes', version: '1' });
createMcpEndpoint(server, { idleTimoutMs: 1 });
createMcpEndpoint(() => server, { idleTimoutMs: 1 });
createMcpEndpoint(server, { sessionMode: 'stateful', limits: { bodyByte: 1 } });
createMcpEndpoint(server, { sessionMode: 'stateles' });
