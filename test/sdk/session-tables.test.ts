/** Middleware that wraps every handler of a session, and a definition that registers another one afterwards. */
import { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { serve } from '../kit/serve.ts';

type Handler = (...given: unknown[]) => unknown;

test('a handler that middleware could not wrap is not served in the sessions that it has wrapped', async () => {
  let isWrapping = true;
  class Guarded extends McpServer {
    override async connect(transport: never): Promise<void> {
      const table = Reflect.get(this.server, '_requestHandlers') as Map<string, Handler>;
      const refuse = (): never => {
        throw new Error('refused');
      };
      if (isWrapping)
        for (const method of table.keys()) if (method.startsWith('own/')) table.set(method, refuse);
      await super.connect(transport);
    }
  }
  const definition = new Guarded({ name: 'guarded', version: '1.0.0' });
  const register = (method: string): void =>
    definition.server.setRequestHandler(
      method,
      { params: z.looseObject({}), result: z.any() },
      () => ({ method }),
    );
  register('own/first');
  const { openSession } = await serve(definition);
  const wrapped = await openSession();
  isWrapping = false;
  const plain = await openSession();
  register('own/second');
  const codeOf = async (client: typeof plain, method: string): Promise<unknown> =>
    (await client.call(method)).message.error?.code;
  expect([await codeOf(wrapped, 'own/first'), await codeOf(wrapped, 'own/second')]).toEqual([
    -32603, -32601,
  ]);
  expect((await plain.call('own/second')).message.result).toEqual({ method: 'own/second' });
  const later = await openSession();
  expect((await later.call('own/second')).message.result).toEqual({ method: 'own/second' });
});
