/** The end of a session for which nothing waits makes no stacks; whatever waits gets its error with a stack. */
import { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import { type Served, serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

const info = { name: 'closing', version: '1.0.0' };
const FRAME = /\n\s+at /;

async function opened(served: Served): Promise<RawClient> {
  const client = await served.openSession();
  return client;
}

/** How deep stacks are while the SDK tells its listeners and handlers that the connection is closed. */
function observed(server: McpServer): number[] {
  const limits: number[] = [];
  const connect = server.server.connect.bind(server.server);
  server.server.connect = async (transport) => {
    const { onclose } = transport;
    transport.onclose = () => {
      limits.push(Error.stackTraceLimit);
      onclose?.();
    };
    await connect(transport);
  };
  return limits;
}

function served(onServer: (server: McpServer) => void = () => {}) {
  const limits: number[][] = [];
  const aborted: unknown[] = [];
  let running = 0;
  const serving = serve((ctx) => {
    const server = new McpServer(info, { ...ctx.serverOptions });
    server.registerTool('hold', {}, (held) => {
      running += 1;
      return new Promise((resolve) => {
        held.mcpReq.signal.addEventListener('abort', () => {
          aborted.push(held.mcpReq.signal.reason);
          resolve(said('stopped'));
        });
      });
    });
    limits.push(observed(server));
    onServer(server);
    return server;
  });
  return { serving, limits, aborted, running: () => running };
}

test('an idle session is closed without a stack, and stacks are as deep as before', async () => {
  const { stackTraceLimit } = Error;
  const { serving, limits } = served();
  const client = await opened(await serving);
  await client.delete();
  await until(() => limits[0]?.length === 1);
  expect(limits).toEqual([[0]]);
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
});

test('a handler that runs gets its error with a stack', async () => {
  const { serving, limits, aborted, running } = served();
  const client = await opened(await serving);
  const call = client.call('tools/call', { name: 'hold', arguments: {} });
  await until(() => running() === 1);
  await client.delete();
  expect((await call).message.error).toMatchObject({ code: -32000 });
  await until(() => aborted.length === 1);
  expect((aborted[0] as Error).stack).toMatch(FRAME);
  expect(limits).toEqual([[Error.stackTraceLimit]]);
});

test('a listener of the application makes errors with a stack', async () => {
  const stacks: Array<string | undefined> = [];
  const { serving } = served((server) => {
    server.server.onclose = () => stacks.push(new Error('closed').stack);
  });
  const client = await opened(await serving);
  await client.delete();
  await until(() => stacks.length === 1);
  expect(stacks[0]).toMatch(FRAME);
});
