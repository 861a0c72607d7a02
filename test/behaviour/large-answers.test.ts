/** Answers above 1 MiB, which the Python SDK 2.x refuses as events. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { textOf } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { perFace } from '../kit/sessions.ts';
import { turns } from '../kit/until.ts';

const MIB = 1_048_576;

const factory = toolServer({
  give: ({ size }) => said('x'.repeat(Number(size))),
  wide: ({ size }) => said('ü'.repeat(Number(size))),
  'give-later': async ({ size }) => {
    await turns(50);
    return said('x'.repeat(Number(size)));
  },
  'tell-and-give': async ({ size }, { mcpReq }) => {
    await mcpReq.notify({
      method: 'notifications/progress',
      params: { progressToken: 'p', progress: 1 },
    });
    return said('x'.repeat(Number(size)));
  },
});

describe.each(perFace)('$face', ({ serve }) => {
  const open = async (options: McpEndpointOptions = {}, protocolVersion = '2025-11-25') => {
    const served = await serve(factory, options);
    const client = await served.openSession({ protocolVersion });
    const call = async (name: string, size: number) => {
      const { response, message } = await client.call('tools/call', { name, arguments: { size } });
      await response.untilEnd().catch(() => {});
      return { type: response.header('content-type'), length: textOf(message)?.length };
    };
    return { ...served, client, call };
  };
  const json = 'application/json';
  const sse = 'text/event-stream';

  test.each(['2025-03-26', '2025-06-18', '2025-11-25'])(
    'an answer above 1 MiB is JSON where nothing was sent before it (%s)',
    async (version) => {
      const { call, client } = await open({}, version);
      expect(await call('give', 2 * MIB)).toEqual({ type: json, length: 2 * MIB });
      expect(await call('give', 1_000)).toEqual({ type: sse, length: 1_000 });
      // Bytes count, not characters.
      expect(await call('wide', 0.6 * MIB)).toMatchObject({ type: json });
      expect(await call('wide', 0.3 * MIB)).toMatchObject({ type: sse });
      expect((await client.call('ping')).message.result).toEqual({});
    },
  );

  test('a long text arrives as it was sent', async () => {
    const { client } = await open();
    const { message } = await client.call('tools/call', {
      name: 'wide',
      arguments: { size: 70_000 },
    });
    expect(textOf(message) === 'ü'.repeat(70_000)).toBe(true);
  });

  test.each(['give-later', 'tell-and-give'])(
    'it is an event where the stream has begun: %s',
    async (name) => {
      const { call } = await open();
      expect(await call(name, 2 * MIB)).toEqual({ type: sse, length: 2 * MIB });
    },
  );

  test("with responseMode: 'sse' it is an event", async () => {
    const { call } = await open({ responseMode: 'sse' });
    expect(await call('give', 2 * MIB)).toEqual({ type: sse, length: 2 * MIB });
  });

  test('the log names each tool once', async () => {
    const { call, log } = await open();
    for (const name of ['give', 'give-later', 'give', 'give-later']) await call(name, 2 * MIB);
    await call('tell-and-give', 1_000);
    const told = log.matching(/more than 1 MiB/, 'warn').map(({ fields }) => fields['name']);
    expect(told).toEqual(['give', 'give-later']);
  });

  test('at 2026-07-28 it is JSON, or an event, and a line of the log', async () => {
    const { client, log } = await open();
    const params = { arguments: { size: 2 * MIB } };
    const plain = await callModern(client, 'tools/call', { name: 'give', ...params });
    expect([plain.response.header('content-type'), textOf(plain.message)?.length]).toEqual([
      json,
      2 * MIB,
    ]);
    const streamed = await callModern(client, 'tools/call', { name: 'tell-and-give', ...params });
    expect([streamed.response.header('content-type'), textOf(streamed.message)?.length]).toEqual([
      sse,
      2 * MIB,
    ]);
    expect(log.matching(/more than 1 MiB/).map(({ fields }) => fields['name'])).toEqual([
      'give',
      'tell-and-give',
    ]);
  });
});
