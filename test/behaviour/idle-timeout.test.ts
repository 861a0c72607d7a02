import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { DEFAULTS } from '../../src/options/table.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { usePerSession } from '../kit/making-servers.ts';
import { textOf, tool } from '../kit/lab.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';
import { NOT_FOUND } from '../kit/refusals.ts';
import { inLab } from '../kit/sessions.ts';

// These tests look at the server of each session.
usePerSession();

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A session that begins now, on a clock that the test moves. */
async function onFakeTime(options: McpEndpointOptions = {}) {
  const time = createFakeTime();
  return { time, ...(await inLab({ timeProvider: time, ...options })) };
}

test('B55 the idle timeout is 2 h and the idle limit 10,000 by default', async () => {
  const { time, endpoint } = await onFakeTime();
  await time.advance(2 * HOUR - 1);
  expect(endpoint.sessions.count).toBe(1);
  await time.advance(1);
  expect(endpoint.sessions.count).toBe(0);
  expect(DEFAULTS.maxIdleSessionCount).toBe(10_000);
});

test('B55 idle sessions are looked at every 5 s', async () => {
  const { time, one, endpoint } = await onFakeTime({ idleTimeoutMs: MINUTE });
  await time.advance(1);
  await one.call('ping'); // idle from 1 ms after the first sweep was planned
  await time.advance(MINUTE + 4_998);
  expect(endpoint.sessions.count).toBe(1);
  await time.advance(1);
  expect(endpoint.sessions.count).toBe(0);
});

test('B56 a session idle for longer than the timeout ends: one info line with the hash of its id, then 404', async () => {
  const { time, one, lab, log } = await onFakeTime({ idleTimeoutMs: MINUTE });
  await time.advance(MINUTE);
  expect(log.matching(/IdleTimeout/)).toEqual([
    {
      level: 'info',
      fields: { sessionId: hashOf(one.sessionId), idleTimeoutMs: MINUTE },
      message: `IdleTimeout of 60000 ms exceeded; session ${hashOf(one.sessionId)} ends`,
    },
  ]);
  const { response, message } = await one.call('ping');
  expect(response.status).toBe(404);
  expect(message).toEqual(NOT_FOUND);
  expect(lab.made.map(({ closed }) => closed)).toEqual([true]);
});

test('B57 regular traffic keeps a session alive past the timeout', async () => {
  const { time, one } = await onFakeTime({ idleTimeoutMs: MINUTE });
  for (let n = 0; n < 5; n++) {
    await time.advance(MINUTE - 5_000);
    expect((await one.call('ping')).response.status).toBe(200);
  }
});

test('B57 the idle clock starts when a request starts, and again when it ends', async () => {
  const { time, one, lab, endpoint } = await onFakeTime({ idleTimeoutMs: MINUTE });
  const called = one.call(...tool('hold'));
  const call = await lab.held();
  await time.advance(3 * MINUTE);
  expect(endpoint.sessions.count).toBe(1);
  call.answer('late');
  expect(textOf((await called).message)).toBe('late');
  await time.advance(MINUTE - 1);
  expect(endpoint.sessions.count).toBe(1);
  await time.advance(5_000);
  expect(endpoint.sessions.count).toBe(0);
});

test('B58 an infinite timeout ends no session', async () => {
  const { time, one } = await onFakeTime({ idleTimeoutMs: Infinity, keepAliveMs: Infinity });
  // The default is 2 h, and tombstones last 24 h.
  await time.advance(26 * HOUR);
  expect((await one.call('ping')).response.status).toBe(200);
});

describe('an open stream', () => {
  test('B43 B57 keeps its session; when its client goes away, the idle clock starts', async () => {
    const { time, one, endpoint } = await onFakeTime({ idleTimeoutMs: MINUTE });
    const stream = await one.get();
    await time.advance(10 * MINUTE);
    expect(endpoint.sessions.count).toBe(1);
    stream.abort();
    // The server hears of it a little later; a sweep cannot come before, because the clock does not move.
    await until(async () => {
      await time.advance(MINUTE);
      return endpoint.sessions.count === 0;
    });
  });
});
