/**
 * `limits.streamBufferBytes`: a client that does not read is cut off, and what its log keeps is there when it comes
 * back. `behind.test.ts` has the stream of a call that is resumed.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { McpServer } from '@modelcontextprotocol/server';
import { numbersOn, tool, toolCall, upTo } from '../kit/lab.ts';
import { postModern } from '../kit/modern.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { faces, serve } from '../kit/serve.ts';
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

/** Stops reading after the first message. */
async function stalled(response: RawResponse): Promise<RawResponse> {
  await response.nextMessage();
  response.pause();
  return response;
}

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
    const { client, server, endpoint } = await open(face);
    const stream = await client.get();
    await stream.next();
    stream.pause();
    for (const n of upTo(MESSAGES)) {
      await server()?.server.sendLoggingMessage({ level: 'error', data: { n, MESSAGE } });
      await new Promise((later) => setImmediate(later));
    }
    await stream.resume();
    const numbers = numbersOn(stream);
    expect(numbers).toEqual(upTo(numbers.length));
    expect(numbers.length).toBeLessThan(MESSAGES);
    expect(endpoint.sessions.count).toBe(1);
    const resumed = await client.get({ lastEventId: stream.lastId });
    await until(() => resumed.messages.length === MESSAGES - numbers.length);
    expect(numbersOn(resumed)).toEqual(upTo(MESSAGES, numbers.length));
    expect(resumed.ending).toBeUndefined();
  });

  test('without a log the stream is cut too; the call ends, and its session lives on', async () => {
    const { client, go, finished } = await open(face, '2025-06-18');
    const stream = await stalled(await client.post(toolCall('f', 'flood')));
    go();
    await until(() => finished() === 1, { timeoutMs: 20_000 });
    await stream.resume();
    expect(numbersOn(stream).length).toBeLessThan(MESSAGES);
    expect((await client.call('ping')).response.status).toBe(200);
  });

  test('in the modern era a client that does not read is gone: its call is aborted', async () => {
    const { client, go, finished, aborted } = await open(face);
    const meta = { 'io.modelcontextprotocol/logLevel': 'debug' };
    const stream = await stalled(await postModern(client, ...tool('flood'), { meta }));
    go();
    await until(() => finished() === 1, { timeoutMs: 20_000 });
    expect(aborted()).toBe(1);
    await stream.resume();
    expect(numbersOn(stream).length).toBeLessThan(MESSAGES);
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
