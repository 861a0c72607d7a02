/** Results that are not JSON, or no object: their request gets an error, in each era and mode, and the log a line. */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import { callModern } from '../kit/modern.ts';
import { bothFaces, serve } from '../kit/serve.ts';

const cycle: { own?: object } = {};
cycle.own = cycle;

/** As the body of a failed request to another service. */
const refused = (): never => {
  throw Object.assign(new Error(), { message: { detail: 'no' } });
};

const RESULTS: Record<string, () => unknown> = {
  cycle: () => cycle,
  bigint: () => ({ n: 1n }),
  undefined: () => undefined,
  null: () => null,
  number: () => 5,
  message: refused,
};

function factory({ serverOptions }: McpEndpointContext): McpServer {
  const server = new McpServer({ name: 'unsendable', version: '1.0.0' }, serverOptions);
  const schemas = { params: z.looseObject({}), result: z.any() };
  for (const [name, result] of Object.entries(RESULTS))
    server.server.setRequestHandler(`own/${name}`, schemas, () => result() as object);
  return server;
}

const INTERNAL = { code: -32603, message: 'Internal error' };

describe.each(bothFaces)('a result that cannot be sent, over %s', (face) => {
  test.each(Object.keys(RESULTS))('is an error in a session: %s', async (name) => {
    const { openSession, log } = await serve(factory, {}, { face });
    const one = await openSession({}, { timeoutMs: 3_000 });
    expect((await one.call(`own/${name}`)).message.error).toEqual(INTERNAL);
    expect(log.matching(/result that cannot be sent/)).toHaveLength(1);
    expect((await one.call('ping')).message.result).toEqual({});
  });

  test.each(Object.keys(RESULTS))('is an error without a session: %s', async (name) => {
    const { client } = await serve(factory, { sessionMode: 'stateless' }, { face });
    expect((await client({ timeoutMs: 3_000 }).call(`own/${name}`)).message.error).toEqual(
      INTERNAL,
    );
  });

  // The SDK makes an object of a number.
  test.each(['cycle', 'bigint', 'undefined', 'null', 'message'])(
    'is an error in 2026-07-28: %s',
    async (name) => {
      const { client } = await serve(factory, {}, { face });
      const { message } = await callModern(client({ timeoutMs: 3_000 }), `own/${name}`);
      expect(message.error).toMatchObject({ code: -32603, message: expect.any(String) });
    },
  );
});
