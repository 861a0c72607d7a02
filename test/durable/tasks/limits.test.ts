/** What a client can make tasks take, and how it is refused. */
import type { ServerContext } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import type { RunningTask } from '../../../src/durable/tasks/index.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { gate, watchedStore } from '../../kit/watched-store.ts';
import { Effects, QUESTION, resultOf, TaskClient, taskServer, taskTool } from './kit.ts';

type Handler = (args: { readonly bytes: number }, ctx: ServerContext, own: RunningTask) => unknown;

const as = (user: string) => ({ headers: { 'x-user': user } });
/** A client of an endpoint whose tool `run` is this handler. */
async function open(run: Handler): Promise<TaskClient> {
  const { client } = await serve(toolServer({ run: taskTool(run) }), { tasks: true });
  return new TaskClient(client());
}

test('a call that is too large for a task is refused, and its handler does not run', async () => {
  let ran = 0;
  const ada = await open(() => (ran += 1));
  const { error } = await ada.call('run', { pad: 'x'.repeat(262_144) });
  expect(error).toMatchObject({ code: -32602, message: expect.stringContaining('262144 bytes') });
  expect(ran).toBe(0);
  expect(await ada.start('run', { pad: 'x'.repeat(200_000) })).toContain('.');
});

test('answers that arrive at once have the room of a task together', async () => {
  const names = Array.from({ length: 10 }, (_, n) => `q${n}`);
  const form = { message: '?', requestedSchema: { type: 'object' as const, properties: {} } };
  const run = taskTool((_args, _ctx, own) =>
    Promise.all(names.map((name) => own.elicit(name, form))),
  );
  const store = watchedStore();
  const { client } = await serve(toolServer({ run }), { store, tasks: true });
  const ada = new TaskClient(client());
  const id = await ada.start('run');
  await until(
    async () => Object.keys((await ada.get(id))['inputRequests'] ?? {}).length === names.length,
  );
  const answers = names.map((name) => ({
    [name]: { action: 'accept', content: { pad: 'x'.repeat(60_000) } },
  }));
  const adds = gate();
  store.before['tasks.add'] = adds.hook;
  const taking = answers.map((answer) => ada.update(id, answer));
  await until(() => adds.waiting > 0);
  // By then the others have come, too.
  await ada.get(id);
  adds.open();
  const taken = await Promise.all(taking);
  expect(taken.filter(({ error }) => error === undefined)).toHaveLength(4);
  await ada.cancel(id);
});

test('a question that leaves no room for its answer is refused, and one stays that is asked until its answer fits', async () => {
  const form = (bytes: number) => ({
    message: 'x'.repeat(bytes),
    requestedSchema: QUESTION.requestedSchema,
  });
  const ada = await open(
    async ({ bytes }, _ctx, own) => (await own.elicit('q', form(bytes))).action,
  );
  const refused = await ada.until(
    await ada.start('run', { bytes: 261_900 }),
    'completed',
    'input_required',
  );
  expect(JSON.stringify(refused['result'])).toContain('262144 bytes');
  const id = await ada.start('run', { bytes: 260_800 });
  await ada.until(id, 'input_required');
  const answered = (content: object) => ada.update(id, { q: { action: 'accept', content } });
  const message = expect.stringContaining('65536 bytes');
  expect((await answered({ ok: true, text: 'x'.repeat(65_536) })).error).toMatchObject({
    code: -32602,
    message,
  });
  expect((await answered({ ok: true })).error).toBeUndefined();
  expect(await ada.ended(id)).toMatchObject({ result: { content: [{ text: 'accept' }] } });
});

test('a result that is too large to keep fails the task, with the sizes', async () => {
  const ada = await open(({ bytes }) => 'x'.repeat(bytes));
  const ended = await ada.ended(await ada.start('run', { bytes: 4_194_304 }));
  expect(ended).toMatchObject({
    status: 'failed',
    error: {
      code: -32603,
      message: expect.stringContaining('4194304'),
      data: { reason: 'result_too_large', mayHaveRun: true },
    },
  });
  expect(await ada.ended(await ada.start('run', { bytes: 4_000_000 }))).toMatchObject({
    status: 'completed',
  });
});

test('steps have names and room', async () => {
  const names: string[] = [];
  const step: Handler = async ({ bytes }, _ctx, own) => {
    const tried = async (name: string, value: unknown): Promise<string> =>
      own
        .step(name, () => {
          names.push(name);
          return value as string;
        })
        .then(
          () => 'ok',
          (cause: Error) => cause.message,
        );
    const cyclic: { self?: unknown } = {};
    cyclic.self = cyclic;
    return [
      await tried('a', 'x'.repeat(bytes)),
      await tried('a', 1),
      await tried('b', cyclic),
      await tried('c', 'x'.repeat(1_048_576 - bytes)),
      await tried('d', undefined),
    ].join('\n');
  };
  const ada = await open(step);
  const { result } = (await ada.ended(await ada.start('run', { bytes: 1_000 }))) as {
    result: { content: [{ text: string }] };
  };
  const told = result.content[0].text.split('\n');
  expect(told[0]).toBe('ok');
  expect(told[1]).toContain('comes twice in one run');
  expect(told[2]).toContain('no JSON');
  expect(told.join(' ')).toContain('has no room');
  expect(told.at(-1)).toBe('ok');
  // Nothing ran that could not be recorded for its name.
  expect(names).toEqual(['a', 'b', 'c', 'd']);
});

test('a task records 1,000 steps and no more', async () => {
  const ran: number[] = [];
  const step: Handler = async (_args, _ctx, own) => {
    for (let n = 0; n < 1_001; n++) await own.step(`s${n}`, () => ran.push(n));
    return 'all ran';
  };
  const ada = await open(step);
  const ended = JSON.stringify(await ada.ended(await ada.start('run')));
  expect(ended).toContain('a task records 1000 steps and values');
  expect(ran).toHaveLength(1_000);
});

test('calls of one user at once make as many open tasks as it may have, and its next one is made after an end', async () => {
  const store = watchedStore();
  const options = { tasks: true, limits: { perUser: { tasks: 5 } }, store };
  const { client, endpoint } = await serve(taskServer(new Effects()), options, {
    face: 'node',
    auth: userHeader,
  });
  const [ada, bob] = [new TaskClient(client(as('ada'))), new TaskClient(client(as('bob')))];
  const creates = gate();
  store.before['tasks.create'] = creates.hook;
  const called = Promise.all(Array.from({ length: 26 }, () => ada.call('detaches')));
  await until(() => creates.waiting === 5);
  creates.open();
  const answers = await called;
  const made = answers.flatMap((answer) =>
    answer.error === undefined ? [String(resultOf(answer)['taskId'])] : [],
  );
  expect(made).toHaveLength(5);
  for (const { error } of answers.filter((answer) => answer.error !== undefined))
    expect(error).toMatchObject({ code: -32000, data: { reason: 'too_many_tasks' } });
  expect(await bob.start('detaches')).toContain('.');
  await Promise.all(made.slice(0, 2).map((id) => ada.cancel(id)));
  const again = await Promise.all(Array.from({ length: 4 }, () => ada.call('detaches')));
  expect(again.filter(({ error }) => error === undefined)).toHaveLength(2);
  expect(await endpoint.tasks.count()).toBe(6);
});

test('one user gets half of the running tasks of an instance', async () => {
  const effects = new Effects();
  const options = { tasks: true, limits: { runningTasks: 8 } };
  const { client } = await serve(taskServer(effects), options, { face: 'node', auth: userHeader });
  const ada = new TaskClient(client(as('ada')));
  for (let n = 0; n < 4; n++) await ada.start('held');
  expect((await ada.call('held')).error).toMatchObject({ data: { reason: 'too_many_tasks' } });
  expect(await new TaskClient(client(as('bob'))).start('held')).toContain('.');
  effects.open();
});

test('one address without a user fills its share of the store, and another one is served', async () => {
  const limits = { perUser: { keptBytes: 65_536 } };
  const { client } = await serve(taskServer(new Effects()), { tasks: true, limits });
  const from = async (address: string): Promise<string> =>
    JSON.stringify(await new TaskClient(client({ from: address })).call('detaches'));
  let made = 0;
  let last = '';
  while (made < 100 && (last = await from('127.0.0.2')).includes('"taskId"')) made += 1;
  expect(last).toContain('store_full');
  expect(made).toBeGreaterThan(20);
  expect(made).toBeLessThan(64);
  expect(await from('127.0.0.3')).toContain('"taskId"');
});
