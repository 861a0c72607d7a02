import { expect, test } from 'vitest';
import { until } from '../../kit/until.ts';
import { type Caller, paced, type PaceName } from './paced-callers.ts';

/** Calls of one client whose server answers only on request. */
function unanswered(name: PaceName) {
  const running: Array<() => void> = [];
  let sent = 0;
  const client: Caller = {
    call: (_tool, nonce) =>
      new Promise((resolve) => {
        sent += 1;
        running.push(() => resolve(nonce));
      }),
    close: async () => {},
  };
  const callers = paced([client], 'c', { name, pauseMs: 1 });
  const answer = (): void => running.splice(0).forEach((tell) => tell());
  return { callers, running, answer, sent: () => sent };
}

test('at the pace after-answer a client has one call at a time', async () => {
  const { callers, running, answer, sent } = unanswered('after-answer');
  for (let n = 1; n <= 5; n++) {
    await until(() => sent() === n);
    expect(running).toHaveLength(1);
    answer();
  }
  await until(() => running.length === 1);
  const stopped = callers.stop();
  answer();
  const calls = await stopped;
  expect(calls.map(({ nonce, error }) => [nonce, error])).toEqual(
    Array.from({ length: 6 }, (_, n) => [`c-0:${n}`, undefined]),
  );
  for (const [n, { sentAt }] of calls.entries()) expect(sentAt).toBeGreaterThanOrEqual(calls[n - 1]?.endedAt ?? 0);
});

test('at the pace steady a client calls whatever is still running', async () => {
  const { callers, running, answer } = unanswered('steady');
  await until(() => running.length >= 5);
  const stopped = callers.stop();
  const answering = setInterval(answer, 1);
  const calls = await stopped;
  clearInterval(answering);
  expect(calls.length).toBeGreaterThanOrEqual(5);
});
