import type { AuthInfo, McpServer } from '@modelcontextprotocol/server';

export const TOKEN: string;
export const ARGUMENT: string;
export const RESULT: string;
export const THROWN: string;
export const QUERY: string;
export const CONTROL: string;
export const KINDS: readonly string[];
export function keeper(): McpServer;
export function verify(token: string): AuthInfo;
