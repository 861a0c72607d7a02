/** `endpoint.forgetUser`, beside the calls of that user and of others. */
import { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { openHandle, userState } from '../../src/index.ts';
import { type RunningTask, task } from '../../src/durable/tasks/index.ts';
import { callerAt, registerRun } from '../durable/state/kit.ts';
import { TaskClient } from '../durable/tasks/kit.ts';
import { inMatrix } from '../kit/matrix.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { sharedStore, type StoreKind, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { watchedStore } from '../kit/watched-store.ts';

useSharedStores();

const keyOf = (user: string): string => JSON.stringify(['sub', '', user]);
const one = (n = 0): number => n + 1;
const UPDATES = 1_000;

test.each(inMatrix<StoreKind>(storeKinds, ['memory']))(
  'B238 on %s, a user who is forgotten beside 1,000 updates and calls of two instances leaves nothing, and others keep all',
  async (kind) => {
    const make = sharedStore(kind);
    const aborted: string[] = [];
    const member = async () => {
      const store = watchedStore({ inner: make(), durable: true });
      const server = () => {
        const made = new McpServer({ name: 'forget', version: '1.0.0' });
        registerRun(made);
        const stays = (_args: object, _ctx: unknown, { signal }: RunningTask) =>
          new Promise<never>((_, reject) =>
            signal?.addEventListener('abort', () => {
              aborted.push('film');
              reject(signal.reason as Error);
            }),
          );
        made.registerTool('film', { inputSchema: z.object({}) }, task(stays, { resume: true }));
        return made;
      };
      return {
        store,
        ...(await serve(server, { store, tasks: true }, { face: 'node', auth: userHeader })),
      };
    };
    const [a, b] = [await member(), await member()];
    const clients = await Promise.all(
      [a, b].flatMap((at) => [
        callerAt(at, '2025-11-25', 'ada'),
        callerAt(at, '2026-07-28', 'ada'),
      ]),
    );
    const bob = await callerAt(a, '2025-11-25', 'bob');
    const { id } = await bob(() => openHandle('cart', undefined, { initial: { n: 7 } }));
    await bob(() => userState().set('n', 7));
    await new TaskClient(b.client({ headers: { 'x-user': 'ada' } })).start('film');

    let calls = 0;
    const refusals = new Map<string, number>();
    const working = clients.map(async (run) => {
      let refused = 0;
      while (calls < UPDATES && refused < 3) {
        calls += 1;
        const work =
          calls % 5 === 0 ? () => openHandle('cart') : () => userState().update('n', one);
        await run(work as () => unknown).catch(({ message }: Error) => {
          refused += 1;
          refusals.set(message, (refusals.get(message) ?? 0) + 1);
        });
      }
    });
    await until(() => calls > UPDATES / 4);
    const forgotten = await a.endpoint.forgetUser(keyOf('ada'));
    await Promise.all(working);
    expect(forgotten).toMatchObject({ sessions: 2, tasks: 1, userState: true });
    expect(forgotten.handles).toBeGreaterThan(10);
    await until(() => aborted.length > 0, { what: 'the end of the running task' });
    expect([...refusals.keys()].filter((text) => !/deleted today|[Ss]ession/.test(text))).toEqual(
      [],
    );

    // What is left of her: that she was forgotten, which has no name.
    const [view] = b.store.views;
    const left = [];
    for (const records of [view?.sessions, view?.tasks, view?.handles])
      left.push(
        ...((await records?.list(1_000))?.records ?? []).filter(
          ({ user }) => user === keyOf('ada'),
        ),
      );
    expect([left, await b.endpoint.handles.count(keyOf('ada'))]).toEqual([[], 0]);
    const late = await callerAt(b, '2026-07-28', 'ada');
    await expect(late(() => userState().set('n', 1))).rejects.toThrow('deleted today');
    await expect(late(() => openHandle('cart'))).rejects.toThrow('deleted today');
    expect(await b.endpoint.forgetUser(keyOf('ada'))).toEqual({
      sessions: 0,
      tasks: 0,
      handles: 0,
      userState: false,
    });
    const kept = await bob(async () => [
      await userState().get('n'),
      await (await openHandle('cart', id)).state.get('n'),
    ]);
    expect(kept).toEqual([7, 7]);
  },
);
