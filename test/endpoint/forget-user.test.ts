/** `endpoint.forgetUser`, beside the calls of that user and of others. */
import Libsql from 'libsql';
import { expect, test } from 'vitest';
import { openHandle, userState } from '../../src/index.ts';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { once } from '../../src/durable/once/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { callerAt, eraNames, registerRun } from '../durable/state/kit.ts';
import { taskTool, TaskClient } from '../durable/tasks/kit.ts';
import { inMatrix, isMatrix } from '../kit/matrix.ts';
import { callModern } from '../kit/modern.ts';
import { serve, userHeader } from '../kit/serve.ts';
import {
  type DurableKind,
  durableKinds,
  sharedTarget,
  useSharedStores,
} from '../kit/shared-stores.ts';
import { said, type Tool, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { gate } from '../kit/watched-store.ts';
import { connect } from '../stores/postgres-views.ts';
import { openRedis } from '../stores/redis-views.ts';

useSharedStores();

const USER = 'ada-lovelace';
const KEY = JSON.stringify(['sub', '', USER]);
const AS_USER = { headers: { 'x-user': USER } };
/** What the user gives and gets. Longer than what is stored beside its record. */
const SECRET = 'analytical engine '.repeat(5_000);
/** The others are long. */
const RESULTS: Record<string, string> = { bob: 'bread', paid: 'analytical engine' };
const CALLS = isMatrix ? 1_000 : 200;
const REFUSED = /deleted today|[Ss]ession|ended its work|no longer knows this request/;

/** All rows and logs of a store. */
async function textsIn(kind: DurableKind, target: string): Promise<string> {
  if (kind === 'sqlite') {
    const database = new Libsql(target);
    const all = ['rows', 'log'].map((table) => database.prepare(`SELECT * FROM ${table}`).all());
    database.close();
    return JSON.stringify(all);
  }
  if (kind === 'postgres') {
    const client = await connect(target);
    const all = await client.query(
      'SELECT r::text FROM sojourn.rows r UNION ALL SELECT l::text FROM sojourn.log l',
    );
    await client.end();
    return JSON.stringify(all.rows);
  }
  const ask = await openRedis(target);
  const keys = (await ask('KEYS', '*')) as string[];
  const reads = { hash: ['HGETALL'], list: ['LRANGE', '0', '-1'], zset: ['ZRANGE', '0', '-1'] };
  const all = keys.map(async (key) => {
    const [command, ...range] = reads[(await ask('TYPE', key)) as keyof typeof reads] ?? ['GET'];
    return [key, await ask(command as string, key, ...range)];
  });
  return JSON.stringify(await Promise.all(all));
}

test.each(inMatrix<DurableKind>(durableKinds, ['sqlite']))(
  `B238 on %s, a user who is forgotten beside ${CALLS} updates and calls of two instances leaves nothing, and others keep all`,
  async (kind) => {
    const target = sharedTarget(kind);
    const [paid, aborted, held] = [[] as unknown[], [] as string[], gate()];
    const key = ({ order }: Record<string, unknown>) => String(order);
    const pay: Tool = once(
      async ({ order, waits }) => {
        paid.push(order);
        if (waits === true) await held.hook();
        return said(RESULTS[String(order)] ?? SECRET);
      },
      { key },
    );
    const film: Tool = taskTool(
      (_args, _ctx, { signal }) =>
        new Promise<never>((_, reject) =>
          signal?.addEventListener('abort', () => {
            aborted.push('film');
            reject(signal.reason as Error);
          }),
        ),
      { afterCrash: 'run' },
    );
    const paints = ({ order }: Record<string, unknown>) => {
      paid.push(order);
      return SECRET;
    };
    const [paint, bill] = [taskTool(paints), taskTool(paints, { key })];
    const member = () =>
      serve(
        toolServer({ pay, film, paint, bill }, registerRun),
        { store: { sqlite, redis, postgres }[kind](target), deployment: 'forget', tasks: true },
        { face: 'node', auth: userHeader },
      );
    const members = [await member(), await member()] as const;
    const [a, b] = members;
    const pays = async (at: typeof a, args: object, options = AS_USER) => {
      const call = { name: 'pay', arguments: args };
      return (await callModern(at.client(options), 'tools/call', call)).message;
    };
    const bob = await callerAt(a, '2025-11-25', 'bob');
    const { id } = await bob(() => openHandle('cart', undefined, { initial: { n: 7 } }));
    await bob(() => userState().set('n', 7));
    const bobs = { headers: { 'x-user': 'bob' } };
    await pays(a, { order: 'bob' }, bobs);

    // What has ended, and what runs.
    const tasks = new TaskClient(b.client(AS_USER));
    await tasks.ended(await tasks.start('paint'));
    await tasks.ended(await tasks.start('bill', { order: 'billed' }));
    await tasks.start('film');
    await pays(a, { order: 'paid', note: SECRET });
    const running = pays(a, { order: 'runs', waits: true });
    await until(() => paid.includes('runs'));

    let calls = 0;
    const refusals = new Set<string>();
    const counted = async (work: () => Promise<unknown>): Promise<void> => {
      calls += 1;
      await work().catch(({ message }: Error) => refusals.add(message));
    };
    const told = async (answer: Promise<{ error?: { message: string } }>) => {
      const { error } = await answer;
      if (error !== undefined) throw new Error(error.message);
    };
    const working = members.flatMap((at) =>
      eraNames.map(async (era) => {
        const run = await callerAt(at, era, USER);
        const kinds: Array<() => Promise<unknown>> = [
          () => run(() => userState().update('n', (n = 0) => n + 1)),
          () => run(async () => (await openHandle('cart', undefined, { initial: { SECRET } })).id),
          () => run(() => userState().set('text', SECRET)),
          () => told(pays(at, { order: `o${calls}` })),
          () => told(new TaskClient(at.client(AS_USER)).call('paint')),
          () => callerAt(at, '2025-11-25', USER),
        ];
        while (calls < CALLS) await counted(kinds[calls % kinds.length] as () => Promise<unknown>);
      }),
    );
    await until(() => calls > CALLS / 4);
    const forgotten = await a.endpoint.forgetUser(KEY);
    await Promise.all(working);
    held.open();
    expect((await running).result).toBeDefined();
    expect(forgotten.sessions).toBeGreaterThan(2);
    expect(forgotten.tasks).toBeGreaterThan(0);
    expect(forgotten.handles).toBeGreaterThan(2);
    expect(forgotten.userState).toBe(true);
    await until(() => aborted.length > 0, { what: 'the end of the running task' });
    expect([...refusals].filter((text) => !REFUSED.test(text))).toEqual([]);

    // What stays: that the user was forgotten, and digests of its keys.
    await until(async () => !(await textsIn(kind, target)).includes('analytical'));
    expect(await textsIn(kind, target)).not.toContain(USER);
    const [again, doubtful] = [
      await pays(b, { order: 'paid', note: SECRET }),
      await pays(b, { order: 'runs', waits: true }),
    ];
    expect([again.error?.data, doubtful.error?.data]).toMatchObject([
      { reason: 'result_not_kept', mayHaveRun: true },
      { reason: 'owner_lost', mayHaveRun: true },
    ]);
    const billed = await tasks.ended(await tasks.start('bill', { order: 'billed' }));
    expect(billed).toMatchObject({ status: 'failed' });
    const count = (order: string) => paid.filter((one) => one === order).length;
    expect(['paid', 'runs', 'billed'].map(count)).toEqual([1, 1, 1]);

    // For a day nothing new.
    expect((await pays(b, { order: 'new' })).error?.data).toMatchObject({
      reason: 'user_forgotten',
    });
    expect((await tasks.call('paint')).error?.data).toMatchObject({ reason: 'user_forgotten' });
    const { response, message } = await b.client(AS_USER).initialize();
    expect([response.status, message.error?.data]).toEqual([403, { reason: 'user_forgotten' }]);
    const late = await callerAt(b, '2026-07-28', USER);
    for (const work of [() => userState().set('n', 1), () => openHandle('cart')])
      await expect(late(work as () => unknown)).rejects.toThrow('deleted today');
    const nothing = {
      sessions: 0,
      tasks: 0,
      handles: 0,
      objects: 0,
      subscriptions: 0,
      userState: false,
    };
    expect(await b.endpoint.forgetUser(KEY)).toEqual(nothing);
    expect(await textsIn(kind, target)).not.toContain(USER);

    const kept = await bob(async () => [
      await userState().get('n'),
      await (await openHandle('cart', id)).state.get('n'),
    ]);
    expect(kept).toEqual([7, 7]);
    expect((await pays(b, { order: 'bob' }, bobs)).result).toMatchObject({
      _meta: { 'sojourn/replayed': true },
    });
  },
  isMatrix ? 120_000 : 30_000,
);
