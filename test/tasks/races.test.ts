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
  a.store.before['tasks.replay'] = reads.hook;
  await lose(b);
  await until(async () => (await a.client.get(id)) && reads.waiting > 0, PATIENT);
  find(b);
  await lose(a);
  await until(async () => (await b.client.get(id)) && runs.length === 2, PATIENT);
  const second = await ran(1);
  await second.own.step('second', () => 2);
  reads.open();
  find(a);
  await a.client.get(id);
  await second.own.step('third', () => 3);
  second.answer('from b');
  expect(await b.client.ended(id)).toMatchObject({ result: { content: [{ text: 'from b' }] } });
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

test(
  'a state that is set thousands of times keeps its last value, and no step is lost',
  { timeout: 60_000 },
  async () => {
    const { a, b, ran, lose, runs } = await open();
    const id = await a.client.start('hold');
    const first = await ran(0);
    await first.own.step('early', () => 1);
    for (let n = 0; n < 4_500; n++) await first.own.state.set('n', n);
    await first.own.step('late', () => 2);
    await lose();
    await until(async () => (await b.client.get(id)) && runs.length === 2, PATIENT);
    const { own, answer } = await ran(1);
    const again = await Promise.all(['early', 'late'].map((name) => own.step(name, () => 'ran again')));
    expect([...again, own.state.get('n')]).toEqual([1, 2, 4_499]);
    answer('done');
    expect(await b.client.ended(id)).toMatchObject({ status: 'completed' });
  },
);
