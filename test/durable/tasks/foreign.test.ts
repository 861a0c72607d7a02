/** Other users with the id of a task learn nothing; and what the store has of the request that began it. */
import { randomBytes } from 'node:crypto';
import type { ServerContext } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { currentRequest } from '../../../src/index.ts';
import { serve, userHeader } from '../../kit/serve.ts';
import { sharedStore, storeKinds, useSharedStores } from '../../kit/shared-stores.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { watchedStore } from '../../kit/watched-store.ts';
import { askSure, Effects, TaskClient, taskServer, taskTool, text } from './kit.ts';

useSharedStores();

const as = (user: string | undefined) => ({
  headers: user === undefined ? {} : { 'x-user': user },
});
const METHODS = ['tasks/get', 'tasks/update', 'tasks/cancel'] as const;
const OTHERS = ['bob', 'Ada', 'ada.', 'ad', undefined];
const ANSWER = { one: { action: 'accept' } };

describe.each(storeKinds)('on the store %s', (kind) => {
  test(
    '1,000 attempts of others have the answer of an unknown id, and change nothing',
    { timeout: 120_000 },
    async () => {
      const make = sharedStore(kind);
      const [a, b] = await Promise.all(
        [1, 2].map((n) =>
          serve(
            taskServer(new Effects(), `${n}`),
            { store: make(), tasks: true },
            { face: 'node', auth: userHeader },
          ),
        ),
      );
      if (a === undefined || b === undefined) throw new Error('two instances');
      const ada = new TaskClient(a.client(as('ada')));
      const id = await ada.start('elicits');
      await ada.until(id, 'input_required');
      const before = await ada.get(id);
      const [group = '', name = ''] = id.split('.');
      const made = (): string => `${group}.${randomBytes(16).toString('base64url')}`;
      let attempts = 0;
      for (const user of OTHERS) {
        const [here, there] = [
          new TaskClient(a.client(as(user))),
          new TaskClient(b.client(as(user))),
        ];
        for (let n = 0; n < 33; n++) {
          for (const method of METHODS) {
            const client = n % 2 === 0 ? here : there;
            const asked = async (taskId: string) => {
              attempts += 1;
              const { error } = await client.ask(method, { taskId, inputResponses: ANSWER });
              return JSON.stringify(error);
            };
            // The same bytes for the task of another user, for a task that was never made, and for nonsense.
            const [theirs, unknown] = [await asked(id), await asked(made())];
            expect(theirs).toBe(unknown);
            expect(theirs).toContain('-32602');
            if (n < 3) expect(await asked(`${name}.${group}`)).toBe(theirs);
          }
        }
      }
      expect(attempts).toBeGreaterThan(1_000);
      expect(await ada.get(id)).toEqual(before);
      const [listed] = (await b.endpoint.tasks.list()).tasks;
      expect(listed?.taskId).toBe(id);
      expect(await b.endpoint.tasks.count(listed?.userKey)).toBe(1);
      expect(await b.endpoint.tasks.count('another')).toBe(0);
    },
  );
});

test('the id of another user is refused before the store is asked', async () => {
  const store = watchedStore();
  const { client } = await serve(
    taskServer(new Effects()),
    { store, tasks: true },
    { face: 'node', auth: userHeader },
  );
  const ada = new TaskClient(client(as('ada')));
  const id = await ada.start('elicits');
  const bob = new TaskClient(client(as('bob')));
  const asked = store.calls.length;
  for (const method of METHODS)
    expect((await bob.ask(method, { taskId: id })).error?.code).toBe(-32602);
  const about = store.calls
    .slice(asked)
    .filter(({ call, args }) => call.startsWith('tasks.') && args[0] === id);
  expect(about.filter(({ call }) => call !== 'tasks.save')).toEqual([]);
});

test('no token and no credential of a call is in the store', async () => {
  const store = watchedStore();
  const auth = () => ({
    token: 'secret-token',
    clientId: 'c',
    scopes: ['s'],
    extra: { sub: 'ada' },
  });
  const { client } = await serve(
    taskServer(new Effects()),
    { store, tasks: true },
    { face: 'node', auth },
  );
  const headers = {
    authorization: 'Bearer secret-token',
    cookie: 'secret-cookie',
    'x-api-key': 'secret-key',
  };
  await new TaskClient(client({ headers })).start('elicits');
  expect(JSON.stringify(store.calls)).not.toMatch(/secret-/);
  expect(JSON.stringify(store.calls)).toContain('elicits');
});

test('a later run reads the authInfo that the verifier returned, without its token', async () => {
  const seen: unknown[] = [];
  const run = taskTool((_, { mcpReq, http }) => {
    seen.push(http?.authInfo);
    return mcpReq.inputResponses === undefined ? askSure() : 'done';
  });
  const resource = new URL('https://mcp.example/');
  const rights = {
    clientId: 'c',
    scopes: ['s'],
    expiresAt: Infinity,
    resource,
    extra: { sub: 'ada' },
  };
  const auth = () => ({ ...rights, token: 'secret' });
  const { client } = await serve(toolServer({ run }), { tasks: true }, { face: 'node', auth });
  const ada = new TaskClient(client());
  const id = await ada.start('run');
  await ada.until(id, 'input_required');
  await ada.update(id, { sure: { action: 'accept' } });
  await ada.ended(id);
  expect(seen).toEqual([
    { ...rights, token: 'secret' },
    { ...rights, token: '' },
  ]);
});

test('the query of an address is not stored: the first run sees it, and a later one does not', async () => {
  const seen: string[] = [];
  const run = (_: object, { mcpReq }: ServerContext) => {
    const { pathname, search } = new URL(currentRequest()?.url ?? '');
    seen.push(`${pathname}${search}`);
    return mcpReq.inputResponses === undefined ? askSure() : 'done';
  };
  const tools = {
    run: taskTool(run),
    keyed: taskTool(run, { key: () => 'k', anonymous: 'shared' }),
  };
  const store = watchedStore();
  const { client } = await serve(toolServer(tools), { tasks: true, store });
  const tasks = new TaskClient(client(), { path: '/mcp?apiKey=the-key' });
  for (const name of ['run', 'keyed']) {
    const id = await tasks.start(name);
    await tasks.until(id, 'input_required');
    await tasks.update(id, { sure: { action: 'accept', content: {} } });
    expect(await tasks.ended(id)).toMatchObject({ result: text('done') });
    expect(seen.splice(0)).toEqual(['/mcp?apiKey=the-key', '/mcp']);
  }
  const written = JSON.stringify(store.calls.map(({ args }) => args));
  expect(written).toContain('keyed');
  expect(written).not.toContain('the-key');
});
