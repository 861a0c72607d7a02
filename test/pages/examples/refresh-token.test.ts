/** `examples/refresh-token`: calls that need a token at once refresh it one time, on two instances. */
import { McpServer } from '@modelcontextprotocol/server';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { accessToken, type Grant, saveGrant } from '../../../examples/refresh-token/token.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import { say } from '../../kit/lab.ts';
import { serve, userHeader } from '../../kit/serve.ts';

const HOUR = 3_600_000;

test('six calls on two instances refresh a token once, and another user has none', async () => {
  const asked: string[] = [];
  const refresh = async (token: string): Promise<Grant> => {
    asked.push(token);
    await delay(50);
    return { access: 'new', refresh: 'second', expires: Date.now() + HOUR };
  };
  const text = (text: string) => ({ content: [{ type: 'text' as const, text }] });
  const factory = (): McpServer => {
    const server = new McpServer({ name: 'tokens', version: '1.0.0' });
    server.registerTool('connect', {}, async () => {
      await saveGrant('github', { access: 'old', refresh: 'first', expires: Date.now() - HOUR });
      return text('connected');
    });
    server.registerTool('use', {}, async () => text(await accessToken('github', refresh)));
    return server;
  };
  const store = memory();
  const settings = { face: 'node', auth: userHeader } as const;
  const instances = [
    await serve(factory, { store }, settings),
    await serve(factory, { store }, settings),
  ];
  const open = (at: number, user: string) =>
    instances[at % 2]!.openSession({}, { headers: { 'x-user': user } });
  expect(await say(await open(0, 'ann'), 'connect')).toBe('connected');
  const clients = await Promise.all([0, 1, 2, 3, 4, 5].map((n) => open(n, 'ann')));
  expect(await Promise.all(clients.map((client) => say(client, 'use')))).toEqual(
    clients.map(() => 'new'),
  );
  expect(asked).toEqual(['first']);
  expect(await say(await open(1, 'ben'), 'use')).toContain('Not connected');
});
