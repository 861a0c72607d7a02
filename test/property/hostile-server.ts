/** A server with one of everything. Its handlers always return, whatever their input. */
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });

export function createHostileServer(ctx: McpEndpointContext): McpServer {
  const server = new McpServer(
    { name: 'everything', version: '1.0.0' },
    { ...ctx.serverOptions, capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } } },
  );
  server.registerTool('echo', { inputSchema: z.looseObject({}) }, (args) => say(JSON.stringify(args)));
  server.registerTool('fail', {}, () => {
    throw new Error('on purpose');
  });
  server.registerTool('chatty', {}, async (call) => {
    await call.mcpReq.log('error', 'one');
    await new Promise((later) => setImmediate(later));
    await call.mcpReq.log('error', 'two');
    return say('three');
  });
  server.registerResource('note', 'note://a', {}, () => ({ contents: [{ uri: 'note://a', text: 'a' }] }));
  server.registerPrompt('greet', { argsSchema: z.object({ name: z.string() }) }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: name } }],
  }));
  server.server.setRequestHandler('resources/subscribe', () => ({}));
  server.server.setRequestHandler('resources/unsubscribe', () => ({}));
  return server;
}
