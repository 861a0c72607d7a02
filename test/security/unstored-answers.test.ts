/** Long answers that wait for a store: what of them finds no room costs neither the store nor the handlers anything. */
import { expect, onTestFinished, test } from 'vitest';
import type { AppendRequest } from '../../src/stores/store.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

/** A waiting event counts four times: one of these fits into the share of a user, and two do not. */
const ANSWER = 'x'.repeat(200_000);
const MEMORY_BYTES = 2 ** 21;

test('an answer without room never reaches the store, and until there is room no call of its user runs', async () => {
  const store = watchedStore({ durable: true });
  let runs = 0;
  const big = () => Promise.resolve(said(`${ANSWER}${++runs}`));
  const { openSession, log } = await serve(toolServer({ big }), {
    store,
    limits: { memoryBytes: MEMORY_BYTES },
  });
  const [one, other] = [await openSession(), await openSession()];
  const storing = gate();
  onTestFinished(storing.open);
  const appended: string[] = [];
  store.before['sessions.append'] = ({ events = [] }: AppendRequest) => {
    const long = events.filter((text) => text.length > ANSWER.length);
    appended.push(...long);
    return long.length > 0 ? storing.hook() : undefined;
  };
  const call = (session: typeof one) => session.call('tools/call', { name: 'big', arguments: {} });
  const first = call(one);
  await until(() => storing.waiting === 1);
  // Its stream ends without an answer, and its client resumes.
  call(other).catch(() => undefined);
  await until(() => log.matching(/fill the memory of this instance/, 'warn').length === 1);
  const refused = await call(one);
  expect(refused.message.error?.data).toMatchObject({ reason: 'over_memory', mayHaveRun: false });
  expect([runs, appended.length]).toEqual([2, 1]);
  storing.open();
  expect((await first).message.result).toEqual(said(`${ANSWER}1`));
  expect((await call(one)).message.result).toEqual(said(`${ANSWER}3`));
});
