/**
 * `limits.streamBufferBytes`: a client that does not read is cut off, and what its log keeps is there when it comes
 * back. `behind.test.ts` has the stream of a call that is resumed.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { toolCall } from '../kit/lab.ts';
import type { McpServer } from '@modelcontextprotocol/server';
import { envelope, mirrored } from '../kit/modern.ts';
import { faces, serve } from '../kit/serve.ts';
import { legacyHead, readEvents, stall, upTo } from '../kit/stalled-client.ts';
import { said, toolServer, type Tool } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

const MESSAGE = 'x'.repeat(128 * 1024);
/** Far more than the buffers of two sockets take. */
const MESSAGES = 160;
/** The session's log keeps all of them; `streamBufferBytes` is far less. */
const options = {
  limits: { streamBufferBytes: 256 * 1024 },
  eventRetention: { bytes: 64 * 1024 * 1024, events: 10_000 },
};

/** Says that it runs, and floods its stream when it gets the signal. */
const flood =
  (go: Promise<void>): Tool =>
  async (_args, ctx) => {
    await ctx.mcpReq.log('error', 'running');
    await go;
    for (let n = 0; n < MESSAGES && !ctx.mcpReq.signal.aborted; n++) {
      await ctx.mcpReq.log('error', { n, MESSAGE });
      await new Promise((later) => setImmediate(later));
    }
    return said('flooded');
  };

const callFlood = JSON.stringify(toolCall('f', 'flood'));

async function open(face: 'node' | 'fetch', protocolVersion?: string) {
  let server: McpServer | undefined;
  let finished = 0;
  let aborted = 0;
  let go!: () => void;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const served = await serve(
    toolServer(
      {
        flood: async (args, ctx) => {
          const result = await flood(gate)(args, ctx);
          finished += 1;
          if (ctx.mcpReq.signal.aborted) aborted += 1;
          return result;
        },
      },
      (made) => (server = made),
    ),
    options,
    { face },
  );
  const client = await served.openSession({ protocolVersion }, { timeoutMs: 20_000 });
  return { ...served, client, go, server: () => server, finished: () => finished, aborted: () => aborted };
}

// The adapter of the fetch face prints every response that was cut.
beforeEach(() => void vi.spyOn(console, 'error').mockReturnValue());
afterEach(() => void vi.restoreAllMocks());

describe.each(faces)('over %s', (face) => {
  test('a GET stream that is not read is cut as well, and the session lives on', async () => {
    const { url, client, server, endpoint } = await open(face);
    const { rest } = await stall(url, legacyHead('GET', client));
    for (const n of upTo(MESSAGES)) {
      await server()?.server.sendLoggingMessage({ level: 'error', data: { n, MESSAGE } });
      await new Promise((later) => setImmediate(later));
    }
    const { numbers, lastId } = readEvents(await rest());
    expect(numbers).toEqual(upTo(numbers.length));
    expect(numbers.length).toBeLessThan(MESSAGES);
    expect(endpoint.sessions.count).toBe(1);
    const resumed = await client.get({ lastEventId: lastId });
    const left = MESSAGES - numbers.length;
    await until(() => resumed.events.filter(({ message }) => message !== undefined).length === left);
    const again = resumed.events.flatMap(({ message }) =>
      message === undefined ? [] : [(message as { params: { data: { n: number } } }).params.data.n],
    );
    expect(again).toEqual(upTo(MESSAGES, numbers.length));
    expect(resumed.ending).toBeUndefined();
  });

  test('without a log the stream is cut too; the call ends, and its session lives on', async () => {
    const { url, client, go, finished } = await open(face, '2025-06-18');
    const { rest } = await stall(url, legacyHead('POST', client), callFlood);
    go();
    await until(() => finished() === 1, { timeoutMs: 20_000 });
    const { numbers } = readEvents(await rest());
    expect(numbers.length).toBeLessThan(MESSAGES);
    expect((await client.call('ping')).response.status).toBe(200);
  });

  test('in the modern era a client that does not read is gone: its call is aborted', async () => {
    const { url, client, go, finished, aborted } = await open(face);
    const params = {
      name: 'flood',
      arguments: {},
      _meta: envelope({}, { 'io.modelcontextprotocol/logLevel': 'debug' }),
    };
    const headers = Object.entries(mirrored('tools/call', params)).map(([name, value]) => `${name}: ${value}`);
    const { rest } = await stall(
      url,
      ['POST', 'accept: application/json, text/event-stream', 'content-type: application/json', ...headers].join('\n'),
      JSON.stringify({ jsonrpc: '2.0', id: 'f', method: 'tools/call', params }),
    );
    go();
    await until(() => finished() === 1, { timeoutMs: 20_000 });
    expect(aborted()).toBe(1);
    expect(readEvents(await rest()).numbers.length).toBeLessThan(MESSAGES);
    expect((await client.call('ping')).response.status).toBe(200);
  });

  test('one message larger than the buffer is delivered to a client that reads', async () => {
    const text = 'y'.repeat(2 * 1024 * 1024);
    const { openSession } = await serve(
      toolServer({ large: () => said(text) }),
      { limits: { streamBufferBytes: 1 } },
      { face },
    );
    const one = await openSession();
    const { message } = await one.call('tools/call', { name: 'large', arguments: {} });
    expect((message.result as { content: Array<{ text: string }> }).content[0]?.text).toBe(text);
  });
});
