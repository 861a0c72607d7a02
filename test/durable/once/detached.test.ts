/** A handler of `once()` whose client has left: what it sends is dropped, and what it asks is refused. */
import { McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { once } from '../../../src/durable/once/index.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { textOf } from '../../kit/lab.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { eras, USER } from './pay.ts';

type Method = (...given: unknown[]) => Promise<unknown>;

const INFO = { name: 'asks', version: '1' };
const QUESTION = { message: 'Sure?', requestedSchema: { type: 'object', properties: {} } };
const PING = { method: 'ping' };

/** The methods that ask the client, and the method that notifies it, in the context of each version of the SDK. */
const SDKS = {
  'SDK 2': {
    make: (run: never) => {
      const server = new McpServer(INFO, { capabilities: { logging: {} } });
      server.registerTool('pay', { inputSchema: z.object({ id: z.string() }) }, run);
      return server;
    },
    of: (ctx: object) => (ctx as { mcpReq: Record<string, Method> }).mcpReq,
    asks: {
      elicitInput: [QUESTION],
      requestSampling: [{ messages: [], maxTokens: 1 }],
      send: [PING],
    },
    notify: 'notify',
  },
  'SDK 1': {
    make: (run: never) => {
      const server = new McpServerV1(INFO, { capabilities: { logging: {} } });
      server.registerTool('pay', { inputSchema: { id: z.string() } }, run);
      return server;
    },
    of: (ctx: object) => ctx as Record<string, Method>,
    asks: { sendRequest: [PING, z.object({})] },
    notify: 'sendNotification',
  },
};

const leave = {
  '2026-07-28': async (_client: RawClient, call: RawResponse): Promise<unknown> => call.abort(),
  'a session': async (client: RawClient): Promise<unknown> => client.delete(),
};

test.each([
  ['2026-07-28', 'SDK 2'],
  ['a session', 'SDK 2'],
  ['a session', 'SDK 1'],
] as const)(
  'in %s, %s: a question is refused with its cause, and a notification is dropped',
  async (eraName, name) => {
    const sdk = SDKS[name];
    const handlers: Array<{ readonly ctx: object; answer(): void }> = [];
    const run = once(
      (_args: { id: string }, ctx: object) =>
        new Promise((resolve) => handlers.push({ ctx, answer: () => resolve(said('paid')) })),
      { key: ({ id }) => id },
    );
    const { client } = await serve(
      () => sdk.make(run as never),
      { keepAliveMs: 20 },
      { face: 'node', auth: userHeader },
    );
    const one = await eras[eraName].connect(client(USER));
    const call = await eras[eraName].post(one, { id: 'o-1' });
    const { ctx, answer } = await until(() => handlers[0] as (typeof handlers)[number]);
    const request = sdk.of(ctx);
    await leave[eraName](one, call);
    const notice = { method: 'notifications/message', params: { level: 'info', data: 'x' } };
    const failure = (method: string, given: readonly unknown[]) =>
      request[method]?.(...given).then(String, (error: Error) => error.message);
    const refused = 'the client of this call has left, and its run continues without one';
    // The instance learns of a disconnect a little later.
    await until(async () =>
      (await failure(...(Object.entries(sdk.asks)[0] as [string, unknown[]])))?.includes('left'),
    );
    for (const [method, given] of Object.entries(sdk.asks))
      expect(await failure(method, given)).toBe(`${method}(): ${refused}`);
    // A rejection that nothing handles fails this file.
    for (const [method, given] of Object.entries(sdk.asks)) void request[method]?.(...given);
    await expect(request[sdk.notify]?.(notice)).resolves.toBeUndefined();
    expect((request['signal'] as unknown as AbortSignal).aborted).toBe(false);
    answer();
    const again = await eras[eraName].connect(client(USER));
    expect(textOf(await eras[eraName].call(again, { id: 'o-1' }))).toBe('paid');
    expect(handlers).toHaveLength(1);
  },
);
