/** What the page gets of tasks: their list, one task with its questions by name, and its end. */
import { describe, expect, test } from 'vitest';
import { sessionHash } from '../../src/base/shown.ts';
import type { FleetPage, RecordRows, TaskDetail, TaskRow } from '../../src/dashboard/wire.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { ACTION, ask, mount, valueOf } from '../kit/dashboard.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { Effects, TaskClient, taskServer } from '../durable/tasks/kit.ts';

useSharedStores();

const as = (user: string) => ({ headers: { 'x-user': user } });

async function instance(effects: Effects, name: string, options: McpEndpointOptions) {
  const given = { tasks: true, leaseMs: 9_000, ...options };
  const served = await serve(taskServer(effects, name), given, { face: 'node', auth: userHeader });
  const port = await mount(served.endpoint);
  const get = <T>(path: string): Promise<T> => valueOf<T>(port, path);
  const cancel = (hash: string) =>
    ask(port, `/api/tasks/${hash}/cancel`, { method: 'POST', headers: ACTION });
  return { ...served, get, cancel, id: () => served.endpoint.health().instance };
}

const rowOf = ({ rows }: RecordRows<TaskRow>, id: string) =>
  rows.find(({ hash }) => hash === sessionHash(id)) as TaskRow;

describe.each(storeKinds)('on the store %s', (kind) => {
  test('tasks are listed, searched, shown and cancelled from another instance, without their ids', async () => {
    const connect = sharedStore(kind);
    const effects = new Effects();
    const [one, two] = [
      await instance(effects, 'one', { store: connect() }),
      await instance(effects, 'two', { store: connect() }),
    ];
    const [ada, bob] = [
      new TaskClient(one.client(as('ada'))),
      new TaskClient(one.client(as('bob'))),
    ];
    const resumes = await ada.start('resumes');
    const [elicits, detaches] = [await bob.start('elicits'), await bob.start('detaches')];
    await until(() => effects.count('resumes one') === 1);
    await bob.until(elicits, 'input_required');
    const page = await until(async () => {
      const found = await two.get<RecordRows<TaskRow>>('tasks');
      return rowOf(found, detaches).status === 'detached' ? found : undefined;
    });
    expect(page?.rows).toHaveLength(3);
    const running = {
      status: 'working',
      owner: one.id(),
      attempt: 1,
      maxAttempts: 5,
      tool: 'resumes',
    };
    expect(rowOf(page as RecordRows<TaskRow>, resumes)).toMatchObject({
      ...running,
      userName: 'ada',
    });
    const found = await two.get<RecordRows<TaskRow>>('tasks?q=bob');
    expect(new Set(found.rows.map(({ tool }) => tool))).toEqual(new Set(['elicits', 'detaches']));
    expect((await two.get<RecordRows<TaskRow>>('tasks?q=RESU')).rows).toHaveLength(1);

    const hash = sessionHash(resumes);
    const { ref } = rowOf(page as RecordRows<TaskRow>, resumes);
    const detail = await two.get<TaskDetail>(`tasks/${hash}`);
    expect(detail).toMatchObject({ hash, afterCrash: 'run', questions: [] });
    const asked = await two.get<TaskDetail>(`tasks/${sessionHash(elicits)}`);
    expect(asked).toMatchObject({
      questions: ['one', 'two'].map((name) => ({ name, answered: false })),
    });
    const shown = JSON.stringify([page, detail, asked]);
    for (const secret of [resumes, elicits, detaches, 'Sure?', 'sub\\"'])
      expect(shown).not.toContain(secret);

    expect((await two.cancel(hash)).status).toBe(200);
    expect(two.log.matching(/^A task is cancelled/).map(({ fields }) => fields)).toEqual([
      { task: hash },
    ]);
    await ada.until(resumes, 'cancelled');
    expect(await two.get<TaskDetail>(`tasks/${ref}`)).toMatchObject({
      tool: 'resumes',
      ended: { status: 'cancelled' },
    });
    expect((await two.cancel(ref)).status).toBe(409);
    expect((await two.cancel('0123456789ab')).status).toBe(404);
  });
});

test('the page knows whether the option is on, and an instance without it cancels nothing', async () => {
  const effects = new Effects();
  const store = memory();
  const [on, off] = [
    await instance(effects, 'on', { store }),
    await instance(effects, 'off', { store, tasks: false }),
  ];
  const id = await new TaskClient(on.client(as('ada'))).start('held');
  expect(await on.get<FleetPage>('fleet')).toMatchObject({ tasks: true });
  expect(await off.get<FleetPage>('fleet')).toMatchObject({ tasks: false });
  // A rolling deploy switches it on at one instance after the other.
  expect((await off.get<RecordRows<TaskRow>>('tasks')).rows).toHaveLength(1);
  expect((await off.cancel(sessionHash(id))).status).toBe(409);
  await on.cancel(sessionHash(id));
});
