/** The official clients over the 2024-11-05 transport. */
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SSEClientTransportV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { ElicitRequestSchema, ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { Client, SSEClientTransport } from '@modelcontextprotocol/client';
import { McpServer } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const named = { type: 'object' as const, properties: { name: { type: 'string' as const } } };

function createHostServer(): McpServer {
  const server = new McpServer({ name: 'host', version: '1' });
  server.registerTool('greet', {}, async (ctx) => {
    for (let progress = 1; progress <= 3; progress++) {
      const progressToken = ctx.mcpReq._meta?.progressToken ?? 0;
      await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 3 } });
    }
    const answer = await ctx.mcpReq.elicitInput({ message: 'Who?', requestedSchema: named });
    return { content: [{ type: 'text', text: `Hello, ${String(answer.content?.['name'])}` }] };
  });
  server.registerTool('grow', {}, () => {
    server.registerTool('more', {}, () => ({ content: [] }));
    return { content: [] };
  });
  return server;
}

const info = { name: 'client', version: '1' };
const capabilities = { elicitation: { form: {} } };
const ada = () => ({ action: 'accept' as const, content: { name: 'Ada' } });

/** One way to make either client. */
const clients = {
  v1: async (url: URL, changed: () => void) => {
    const client = new ClientV1(info, { capabilities });
    client.setRequestHandler(ElicitRequestSchema, ada);
    client.setNotificationHandler(ToolListChangedNotificationSchema, changed);
    await client.connect(new SSEClientTransportV1(url));
    return client;
  },
  v2: async (url: URL, changed: () => void) => {
    const client = new Client(info, { capabilities });
    client.setRequestHandler('elicitation/create', ada);
    client.setNotificationHandler('notifications/tools/list_changed', changed);
    await client.connect(new SSEClientTransport(url));
    return client;
  },
};

test.each(Object.entries(clients))('B174 the client of SDK %s does everything', async (_, connect) => {
  const { url } = await serve(createHostServer, { legacySse: true });
  let changes = 0;
  const client = await connect(new URL(`${url}/sse`), () => (changes += 1));
  onTestFinished(() => client.close());

  expect(client.getServerVersion()).toEqual({ name: 'host', version: '1' });
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['greet', 'grow']);

  const steps: number[] = [];
  const onprogress = ({ progress }: { progress: number }): void => void steps.push(progress);
  const greeting =
    client instanceof Client
      ? await client.callTool({ name: 'greet' }, { onprogress })
      : await client.callTool({ name: 'greet' }, undefined, { onprogress });
  expect(greeting).toMatchObject({ content: [{ type: 'text', text: 'Hello, Ada' }] });
  expect(steps).toEqual([1, 2, 3]);

  await client.callTool({ name: 'grow' });
  await until(() => changes === 1);
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain('more');
});
