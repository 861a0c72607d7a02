/** Calls that block the event loop for long, of one user on many connections: another user is served between them. */
import { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import { callModern } from '../kit/modern.ts';
import { serve, userHeader } from '../kit/serve.ts';

test.each(['a session', '2026-07-28'])('%s: the call of another user does not wait for all of them', async (era) => {
  const order: string[] = [];
  const factory = ({ serverOptions }: Pick<McpEndpointContext, 'serverOptions'>): McpServer => {
    const server = new McpServer({ name: 'long', version: '1' }, serverOptions);
    server.registerTool('work', { inputSchema: z.object({ who: z.string() }) }, ({ who }) => {
      order.push(who);
      const until = performance.now() + 30;
      while (performance.now() < until);
      return { content: [{ type: 'text', text: who }] };
    });
    return server;
  };
  const { client } = await serve(factory, {}, { face: 'node', auth: userHeader });
  const as = async (user: string) => {
    const one = client({ headers: { 'x-user': user } });
    if (era === 'a session') await one.initialize();
    else await callModern(one, 'tools/list');
    return (who: string) =>
      era === 'a session'
        ? one.call('tools/call', { name: 'work', arguments: { who } })
        : callModern(one, 'tools/call', { name: 'work', arguments: { who } });
  };
  // Each client has its connection.
  const adas = await Promise.all(Array.from({ length: 12 }, () => as('ada')));
  const bob = await as('bob');
  const calls = adas.map((call) => call('ada'));
  calls.push(bob('bob'));
  await Promise.all(calls);
  expect(order).toHaveLength(13);
  // All 13 requests are there in one turn. Before, each began in it.
  expect(order.indexOf('bob')).toBeLessThan(8);
});
