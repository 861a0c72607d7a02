/** Two instances and one task, with each write held at the point where it matters. */
import { expect, test } from 'vitest';
import { until } from '../kit/until.ts';
import { gate } from '../kit/watched-store.ts';
import { openTwo as open } from './two-instances.ts';

const PATIENT = { timeoutMs: 20_000 };

test('an instance that wakes in a take-over leaves the steps of the run that replaced it', async () => {
  const { a, b, runs, ran, lose, find } = await open();
  const id = await b.client.start('hold');
  await (await ran(0)).own.step('first', () => 1);
  const reads = gate();
  a.store.before['steps.read'] = reads.hook;
  await lose(b);
  await until(async () => (await a.client.get(id)) && reads.waiting > 0, PATIENT);
  find(b);
  await lose(a);
  await until(async () => (await b.client.get(id)) && runs.length === 2, PATIENT);
  const second = await ran(1);
  await second.own.step('second', () => 2);
  const claims = (): number =>
    a.store.calls.filter(({ call }) => call === 'tasks.save' || call === 'steps.claim').length;
  const before = claims();
  reads.open();
  find(a);
  await a.client.get(id);
  await second.own.step('third', () => 3);
  second.answer('from b');
  expect(await b.client.ended(id)).toMatchObject({ result: { content: [{ text: 'from b' }] } });
  expect(claims()).toBe(before);
});

test('a task that was stored while its instance began to drain heeds the hints of its tool', async () => {
  const { a, b, ran } = await open({});
  const creates = gate();
  a.store.before['tasks.create'] = creates.hook;
  const called = a.client.start('hold');
  await until(() => creates.waiting > 0);
  const drained = a.endpoint.drain({ timeoutMs: 60_000 });
  creates.open();
  const [id, first] = await Promise.all([called, ran(0)]);
  await until(() => first.own.signal?.aborted === true, PATIENT);
  first.answer('saved');
  await drained;
  expect(await b.client.ended(id)).toMatchObject({ status: 'completed' });
});
