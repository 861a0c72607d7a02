/** A call that asks its client in rounds, on fake time: no child starts. */
import { expect, onTestFinished, test } from 'vitest';
import type { Question } from '../../src/stdio/child.ts';
import { Run } from '../../src/stdio/run.ts';
import { poolOnFakeTime } from './serving.ts';

test('questions are gathered from the first one: two that come 5 ms apart are one round', async () => {
  const { place, time } = poolOnFakeTime();
  const run = new Run(place('ann'), time, [], { run: () => new Promise(() => {}), over() {} });
  onTestFinished(() => run.cancel('over'));
  const ask = (method: string): void => {
    const { signal } = new AbortController();
    const question: Question = { method, params: {}, signal, answer() {}, refuse() {} };
    run.question(question);
  };
  const outcome = run.next(() => {}, new AbortController().signal);
  await time.advance(1_000);
  ask('elicitation/create');
  await time.advance(5);
  ask('sampling/createMessage');
  await time.advance(15);
  expect(await outcome).toMatchObject({
    inputRequests: {
      q1: { method: 'elicitation/create' },
      q2: { method: 'sampling/createMessage' },
    },
  });
});
