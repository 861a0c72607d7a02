/** The time limit of calls, in every era: the client gets an error, the handler's signal aborts, the place is free. */
import { expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLab, textOf, tool, toolCall } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { useSharedStores } from '../kit/shared-stores.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { anyone, WAYS } from '../kit/ways.ts';

useSharedStores();

const ATTEMPTS = 10;
const LIMITED: McpEndpointOptions = {
  limits: { perTool: { slow: { requests: 1, callTimeoutMs: 30 } } },
};

/** A tool that never ends by itself, and ends when its signal aborts. `reasons`: why calls were aborted. */
function slowServer() {
  const reasons: unknown[] = [];
  const factory = toolServer({
    slow: async (_args, { mcpReq: { signal } }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      reasons.push(signal.reason);
      return said('late');
    },
  });
  return { reasons, ran: [], factory };
}

const TIMED_OUT = {
  code: -32000,
  message:
    'The time limit of 30 ms for this request is over; the request may have run (limits.callTimeoutMs)',
  data: { reason: 'call_timeout', mayHaveRun: true },
};

test.each(Object.entries(WAYS))(
  '%s: a call past callTimeoutMs is aborted and told, and leaves its place',
  async (_way, start) => {
    const slow = slowServer();
    const { send } = await start(anyone(LIMITED), slow);
    const errors: unknown[] = [];
    for (let n = 0; n < ATTEMPTS; n++) {
      const sent = await send(...tool('slow'), '');
      errors.push((await sent.answer()).error);
      await until(() => slow.reasons.length === n + 1);
    }
    expect(errors).toEqual(errors.map(() => TIMED_OUT));
    expect(slow.reasons.map(String)).toEqual(slow.reasons.map(() => TIMED_OUT.message));
  },
);

test('limits.callTimeoutMs bounds a call that waits for an answer of its client, and perTool can lift it', async () => {
  const lab = createLab();
  const time = createFakeTime();
  const options = {
    timeProvider: time,
    limits: { callTimeoutMs: 30, perTool: { hold: { callTimeoutMs: Infinity } } },
  };
  const client = (await serve(lab.factory, options)).client();
  await client.initialize({ capabilities: { elicitation: {} } });
  const held = client.call(...tool('hold'));
  const hold = await lab.held();
  const asks = await client.post(toolCall(9, 'ask'));
  await asks.nextMessage();
  await time.advance(30);
  expect(await asks.nextMessage()).toHaveProperty('error', TIMED_OUT);
  hold.answer('as long as it takes');
  expect(textOf((await held).message)).toBe('as long as it takes');
});

test("with lostCalls: 'result' the error is the result of the tool", async () => {
  const { factory } = slowServer();
  const client = (await serve(factory, { ...LIMITED, lostCalls: 'result' })).client();
  await client.initialize();
  expect((await client.call(...tool('slow'))).message).toMatchObject({ result: { isError: true } });
  expect((await callModern(client, ...tool('slow'))).message).toMatchObject({
    result: { isError: true },
  });
});

test('a handler that ignores its signal is reported once, and keeps its place until it settles', async () => {
  const lab = createLab();
  const time = createFakeTime();
  const options = {
    timeProvider: time,
    limits: { perTool: { hold: { requests: 1, callTimeoutMs: 1_000 } } },
  };
  const served = await serve(lab.factory, options);
  const client = await served.openSession();
  const call = client.call(...tool('hold'));
  const hold = await lab.held();
  // The timer is set at the end of the turn.
  await client.call('ping');
  await time.advance(1_000);
  expect((await call).message.error).toMatchObject({ data: { reason: 'call_timeout' } });
  expect(hold.ctx.mcpReq.signal.aborted).toBe(true);
  const stuck = () =>
    served.log.lines.filter(({ message }) => message.includes('ignores its signal'));
  expect(stuck()).toEqual([]);
  await time.advance(20_000);
  expect(stuck().map(({ level, message }) => [level, message.includes('the tool "hold"')])).toEqual(
    [['warn', true]],
  );
  expect((await client.call(...tool('hold'))).message.error).toMatchObject({
    data: { reason: 'tool_limit' },
  });
  hold.answer('late');
  const next = client.call(...tool('hold'));
  (await lab.held(1)).answer('in time');
  expect(textOf((await next).message)).toBe('in time');
});
