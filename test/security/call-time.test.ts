/** The time limit of calls, in every era: the client gets an error, the handler's signal aborts, the place is free. */
import { McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { connectSse, handshake } from '../kit/legacy-sse.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const ATTEMPTS = 10;
const LIMITED: McpEndpointOptions = { limits: { perTool: { slow: { requests: 1, callMs: 30 } } } };

interface Slow {
  readonly register: (server: McpServer) => void;
  /** Why calls were aborted. */
  readonly reasons: unknown[];
}

/** A tool that never ends by itself, and ends when its signal aborts. */
function createSlow(): Slow {
  const reasons: unknown[] = [];
  return {
    reasons,
    register: (server) => {
      server.registerTool('slow', {}, async ({ mcpReq: { signal } }: ServerContext) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        reasons.push(signal.reason);
        return { content: [{ type: 'text', text: 'late' }] };
      });
    },
  };
}

const TIMED_OUT = {
  code: -32000,
  message: 'The time limit of 30 ms for this request is over; the request may have run (limits.callMs)',
  data: { reason: 'call_timeout', mayHaveRun: true },
};

/** Each call ends with the error, and leaves its place to the next one. */
async function overAndOver(slow: Slow, call: () => Promise<{ message: { error?: unknown } }>): Promise<void> {
  for (let n = 0; n < ATTEMPTS; n++) {
    expect((await call()).message.error).toEqual(TIMED_OUT);
    await until(() => slow.reasons.length === n + 1);
  }
  expect(slow.reasons.map(String)).toEqual(slow.reasons.map(() => TIMED_OUT.message));
}

const plain = (slow: Slow, ctx?: McpEndpointContext): McpServer => {
  const server = new McpServer({ name: 'plain', version: '1' }, { ...ctx?.serverOptions });
  slow.register(server);
  return server;
};

describe.each(['a factory', 'a factory that leaves ctx.serverOptions', 'a definition'])('%s', (kind) => {
  const serverOf = (slow: Slow) => {
    if (kind === 'a definition') return plain(slow);
    return (ctx: McpEndpointContext) => plain(slow, kind === 'a factory' ? ctx : undefined);
  };

  test.each(['sessions', 'stateless', '2026-07-28'])('%s: a call past callMs is aborted and told', async (mode) => {
    const slow = createSlow();
    const options = { ...LIMITED, ...(mode === 'stateless' && { sessionMode: 'stateless' as const }) };
    const client = (await serve(serverOf(slow), options)).client();
    if (mode === 'sessions') await client.initialize();
    await overAndOver(slow, () =>
      mode === '2026-07-28' ? callModern(client, ...tool('slow')) : client.call(...tool('slow')),
    );
  });
});

test('2024-11-05: a call past callMs is aborted and told', async () => {
  const slow = createSlow();
  const served = await serve(plain(slow), { ...LIMITED, legacySse: true });
  const { stream, post } = await connectSse(served.client(), '/mcp/sse');
  await post(handshake(0));
  await stream.nextMessage();
  let id = 0;
  await overAndOver(slow, async () => {
    await post(toolCall((id += 1), 'slow'));
    return { message: (await stream.nextMessage()) as { error?: unknown } };
  });
});

test('a relayed call past callMs is aborted at its owner and told by the relaying instance', async () => {
  const slow = createSlow();
  const [a, b] = await serveFleet(2, LIMITED, [], [createLab(slow.register), createLab(slow.register)]);
  const client = a?.client();
  await client?.initialize();
  const joined = client && b?.join(client);
  await overAndOver(slow, () => (joined as RawClient).call(...tool('slow')));
});

test('limits.callMs bounds a call that waits for an answer of its client, and perTool can lift it', async () => {
  const lab = createLab();
  const options = { limits: { callMs: 30, perTool: { hold: { callMs: Infinity } } } };
  const client = (await serve(lab.factory, options)).client();
  await client.initialize({ capabilities: { elicitation: {} } });
  const held = client.call(...tool('hold'));
  const hold = await lab.held();
  expect((await client.call(...tool('ask'))).message.error).toEqual(TIMED_OUT);
  hold.answer('as long as it takes');
  expect(textOf((await held).message)).toBe('as long as it takes');
});

test("with lostCalls: 'result' the error is the result of the tool", async () => {
  const slow = createSlow();
  const client = (await serve(plain(slow), { ...LIMITED, lostCalls: 'result' })).client();
  await client.initialize();
  expect((await client.call(...tool('slow'))).message).toMatchObject({ result: { isError: true } });
  expect((await callModern(client, ...tool('slow'))).message).toMatchObject({ result: { isError: true } });
});

test('a handler that ignores its signal is reported once, and keeps its place until it settles', async () => {
  const lab = createLab();
  const time = createFakeTime();
  const options = { timeProvider: time, limits: { perTool: { hold: { requests: 1, callMs: 1_000 } } } };
  const served = await serve(lab.factory, options);
  const client = served.client();
  await client.initialize();
  const call = client.call(...tool('hold'));
  const hold = await lab.held();
  // The timer is set at the end of the turn.
  await client.call('ping');
  await time.advance(1_000);
  expect((await call).message.error).toMatchObject({ data: { reason: 'call_timeout' } });
  expect(hold.ctx.mcpReq.signal.aborted).toBe(true);
  const stuck = () => served.log.lines.filter(({ message }) => message.includes('ignores its signal'));
  expect(stuck()).toEqual([]);
  await time.advance(20_000);
  expect(stuck().map(({ level, message }) => [level, message.includes('the tool "hold"')])).toEqual([['warn', true]]);
  expect((await client.call(...tool('hold'))).message.error).toMatchObject({ data: { reason: 'tool_limit' } });
  hold.answer('late');
  const next = client.call(...tool('hold'));
  (await lab.held(1)).answer('in time');
  expect(textOf((await next).message)).toBe('in time');
});
