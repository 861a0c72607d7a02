/** What the record of a task has of the request that began it, and what later runs see of that. */
import { inputRequired, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { currentRequest, type McpEndpointContext } from '../../src/index.ts';
import { task } from '../../src/tasks/index.ts';
import { serve } from '../kit/serve.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { CAPABILITIES, TaskClient, text } from './kit.ts';

const QUESTION = { message: 'Sure?', requestedSchema: { type: 'object' as const, properties: {} } };

test('the query of an address is not stored: the first run sees it, and a later one does not', async () => {
  const seen: string[] = [];
  const serverOf = ({ serverOptions }: McpEndpointContext): McpServer => {
    const server = new McpServer({ name: 'asks', version: '1' }, serverOptions);
    const run = async (_: object, { mcpReq }: ServerContext) => {
      const { pathname, search } = new URL(currentRequest()?.url ?? '');
      seen.push(`${pathname}${search}`);
      if (mcpReq.inputResponses !== undefined) return text('done');
      return inputRequired({ inputRequests: { sure: inputRequired.elicit(QUESTION) } }) as never;
    };
    server.registerTool('run', { inputSchema: z.object({}) }, task(run));
    server.registerTool('keyed', { inputSchema: z.object({}) }, task(run, { key: () => 'k', anonymous: 'shared' }));
    return server;
  };
  const store = watchedStore();
  const { client } = await serve(serverOf, { tasks: true, store });
  const tasks = new TaskClient(client(), { capabilities: CAPABILITIES, path: '/mcp?apiKey=the-key' });
  for (const name of ['run', 'keyed']) {
    const id = await tasks.start(name);
    await tasks.until(id, 'input_required');
    await tasks.update(id, { sure: { action: 'accept', content: {} } });
    expect(await tasks.ended(id)).toMatchObject({ result: text('done') });
    expect(seen.splice(0)).toEqual(['/mcp?apiKey=the-key', '/mcp']);
  }
  const written = JSON.stringify(store.calls.map(({ args }) => args));
  expect(written).toContain('keyed');
  expect(written).not.toContain('the-key');
});
