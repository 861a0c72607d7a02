import type { McpServer } from '@modelcontextprotocol/server';

export function hangingServer(called: () => void): McpServer;
