/** Servers with the tools that a test needs: `toolServer({ echo: ({ text }) => said(text) })`. */
import {
  McpServer,
  type CallToolResult,
  type InputRequiredResult,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';

type ToolResult = CallToolResult | InputRequiredResult;
export type Tool = (
  args: Record<string, unknown>,
  ctx: ServerContext,
) => ToolResult | Promise<ToolResult>;

/** A factory. Tools take any arguments; the server has logging, and resources to subscribe to. */
export function toolServer(
  tools: Record<string, Tool>,
  onServer?: (server: McpServer, ctx: McpEndpointContext) => void,
): (ctx: McpEndpointContext) => McpServer {
  return (ctx: McpEndpointContext): McpServer => {
    const server = new McpServer(
      { name: 'tools', version: '1.0.0' },
      { ...ctx.serverOptions, capabilities: { logging: {}, resources: { subscribe: true } } },
    );
    for (const [name, tool] of Object.entries(tools)) {
      server.registerTool(name, { inputSchema: z.looseObject({}) }, tool);
    }
    onServer?.(server, ctx);
    return server;
  };
}

/** A tool's result: one text. */
export function said(text: unknown): CallToolResult {
  return { content: [{ type: 'text', text: String(text) }] };
}

/** A tool that answers when the test releases it, and records its callers. */
export function heldTool(): {
  readonly tool: Tool;
  /** Contexts of the calls, in order. */
  readonly calls: ServerContext[];
  /** Lets every call answer, including later calls. */
  release(text?: string): void;
} {
  const calls: ServerContext[] = [];
  let release!: (text?: string) => void;
  const released = new Promise<string | undefined>((resolve) => (release = resolve));
  return {
    calls,
    release,
    tool: async (_args, ctx) => {
      calls.push(ctx);
      return said((await released) ?? 'released');
    },
  };
}
