/** `sojourn tasks ls | show | cancel` on the store of an endpoint, and on records that no instance has. */
import { hostname } from 'node:os';
import { type CallToolResult, McpServer, ProtocolError } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { type EndpointStore, openEndpointStore } from '../../src/endpoint/endpoint-store.ts';
import type { McpEndpointContext } from '../../src/index.ts';
import { Notices } from '../../src/base/observe/notices.ts';
import { USER_DEFAULTS } from '../../src/base/options/resolve-limits.ts';
import { DEFAULTS } from '../../src/base/options/table.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { RECORD_VERSION } from '../../src/stores/store.ts';
import { type RunningTask, task } from '../../src/durable/tasks/index.ts';
import { bodyText, headText, type TaskBody } from '../../src/durable/tasks/task-record.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { createLog, hashOf } from '../kit/log.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { TaskClient } from '../durable/tasks/kit.ts';
import { linesOf, newFile, runHere } from './here.ts';

const QUESTION = {
  message: 'secret question',
  requestedSchema: { type: 'object' as const, properties: {} },
};

/** An owner renews its task after this time. */
const RENEWED_MS = 15_000;

/** Tools whose calls become tasks. What is secret is in no printout. */
function films({ serverOptions }: McpEndpointContext, stopped: string[]): McpServer {
  const server = new McpServer({ name: 'films', version: '1.0.0' }, serverOptions);
  const inputSchema = z.object({ text: z.string().optional() });
  const stays = (name: string, signal?: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => {
        stopped.push(name);
        reject(signal.reason);
      });
    });
  type Handler = (
    args: object,
    ctx: unknown,
    own: RunningTask,
  ) => Promise<CallToolResult> | CallToolResult;
  const tool = (name: string, handler: Handler, options = {}): unknown =>
    server.registerTool(name, { inputSchema }, task(handler, options));
  tool(
    'film',
    async (_args, _ctx, own) => {
      own.status('scene 3 of 9\u001b[2J');
      await own.step('frames', () => 'secret step');
      return stays('film', own.signal);
    },
    { afterCrash: 'run' },
  );
  tool('asks', async (_args, _ctx, own) => {
    stays('asks', own.signal).catch(() => {});
    return said(
      JSON.stringify(
        await Promise.all([own.elicit('colour', QUESTION), own.elicit('size', QUESTION)]),
      ),
    );
  });
  tool('leaves', (_args, _ctx, own) => own.detach(() => {}));
  tool('ends', () => said('secret result'));
  tool('fails', () => {
    throw new ProtocolError(-32_602, 'secret error', { reason: 'secret reason' });
  });
  return server;
}

const unknown = (given: string): string =>
  `sojourn: there is no task ${JSON.stringify(given)} in this store: it is found by its id, or while it lives by 4 ` +
  'digits or more of its hash; set --deployment to that of its endpoint\n';

test('tasks are listed, shown and cancelled, and no payload is printed', async () => {
  const { env, serve } = newFile();
  const stopped: string[] = [];
  const auth = { trustedProxyUser: { header: 'x-user', from: ['127.0.0.0/8', '::1/128'] } };
  const own = setTimeout;
  const sooner = (fn: () => void, ms?: number) => own(fn, ms === RENEWED_MS ? 300 : ms);
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(sooner);
  onTestFinished(() => void vi.restoreAllMocks());
  const { endpoint, client } = await serve((ctx) => films(ctx, stopped), {
    tasks: true,
    auth,
    leaseMs: 10_000,
  });
  const { instance } = endpoint.health();
  const clientOf = (user: string): TaskClient =>
    new TaskClient(client(), { headers: { 'x-user': user } });
  const printed: string[] = [];
  const tasks = async (args: string[]) => {
    const run = await runHere(['tasks', ...args], { env });
    if (!args.includes('--ids'))
      printed.push(run.stdout, run.stderr.replaceAll(/no task "[^"]*"/g, ''));
    return run;
  };
  const told = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tasks(args);
    expect({ code, args, stderr }).toEqual({ code: 0, args, stderr: '' });
    return stdout;
  };
  const list = async (...flags: string[]) => linesOf(await told('ls', '--json', '--ids', ...flags));
  const shown = async (id: string): Promise<unknown> => JSON.parse(await told('show', '--', id));

  const [ada, bob] = [clientOf('ada'), clientOf('bob')];
  const film = await ada.start('film', { text: 'secret argument' });
  const asks = await bob.start('asks');
  const leaves = await bob.start('leaves');
  const [ends, fails] = [await bob.start('ends'), await bob.start('fails')];
  await bob.until(asks, 'input_required');
  await Promise.all([bob.ended(ends), bob.ended(fails)]);
  const statuses = async () =>
    Object.fromEntries((await list()).map(({ id, status }) => [id, status]));
  const all = { [film]: 'working', [asks]: 'input_required', [leaves]: 'detached' };
  await until(async () => (await list()).some(({ status }) => status === 'detached'));
  expect(await statuses()).toEqual(all);

  const table = await told('ls');
  expect(table).toMatch(/^HASH +TOOL +STATUS +ATTEMPT +CREATED +EXPIRES +OWNER +USER\n/);
  expect(table).toMatch(
    new RegExp(`^${hashOf(film)} +film +working +1 +\\S+Z +\\S+Z +${instance} +ada$`, 'm'),
  );
  expect(table).toMatch(
    new RegExp(`^${hashOf(leaves)} +leaves +detached +1 +\\S+Z +\\S+Z +- +bob$`, 'm'),
  );
  expect(table).toMatch(/\n\n3 tasks: (1 (working|input_required|detached)(, |\n)){3}$/);
  expect((await tasks(['ls', '--ids'])).stdout).toMatch(
    new RegExp(`^${film} +${hashOf(film)} +film +working`, 'm'),
  );
  const key = '["sub","","ada"]';
  for (const user of ['ada', key])
    expect(await list('--user', user)).toMatchObject([
      { id: film, tool: 'film', userKey: key, userName: 'ada' },
    ]);
  expect(await list('--user', 'ad')).toEqual([]);

  expect(await shown(hashOf(film))).toMatchObject({
    hash: hashOf(film),
    tool: 'film',
    status: 'working',
    statusMessage: 'scene 3 of 9\u001b[2J',
    owner: instance,
    ownerState: 'serving',
    host: hostname(),
    pid: process.pid,
    attempt: 1,
    maxAttempts: 5,
    afterCrash: 'run',
  });
  expect(JSON.parse((await tasks(['show', '--ids', '--', film])).stdout)).toMatchObject({
    id: film,
  });
  await bob.update(asks, { size: { action: 'decline' } });
  const questions = [
    { name: 'colour', answered: false },
    { name: 'size', answered: true },
  ];
  expect(await shown(asks)).toMatchObject({
    status: 'input_required',
    userKey: '["sub","","bob"]',
    questions,
  });
  expect(await shown(leaves)).toMatchObject({ status: 'detached', dueAt: null });
  expect(await shown(ends)).toMatchObject({
    status: 'completed',
    keptUntil: expect.stringMatching(/^\d{4}-.*Z$/) as string,
  });
  expect(await shown(fails)).toMatchObject({ tool: 'fails', status: 'failed', errorCode: -32_602 });

  const notDone = await tasks(['cancel', '--', asks]);
  expect(notDone).toMatchObject({ code: 1, stdout: '' });
  expect(notDone.stderr).toMatch(
    /^sojourn: nothing was done to\n\{[^]*"tool": "asks"[^]*\}\n.*Give --yes to do it\n$/,
  );
  expect(await statuses()).toEqual(all);
  expect(await told('cancel', hashOf(asks).slice(0, 8), '--yes')).toBe(
    `cancelled ${hashOf(asks)}\ninstance ${instance} runs it, and stops it within 15 s\n`,
  );
  expect(await bob.get(asks)).toMatchObject({ status: 'cancelled' });
  // Its owner sees the cancel when it renews the task.
  await until(() => stopped.includes('asks'), { what: 'the handler to stop' });
  expect(await told('cancel', '--yes', '--', leaves)).toBe(
    `cancelled ${hashOf(leaves)}\nwhat works on it elsewhere is not told\n`,
  );
  expect(await told('cancel', '--yes', '--', film)).toContain(
    `cancelled ${hashOf(film)}\ninstance ${instance} `,
  );
  for (const id of [film, ends]) {
    const again = await tasks(['cancel', '--yes', '--', id]);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toMatch(
      /^sojourn: this task has already ended: (cancelled|completed) at 20\S+Z\n$/,
    );
  }
  expect(await told('ls')).toMatch(/^HASH .*\n\n0 tasks\n$/);
  const over = await tasks(['show', hashOf(ends)]);
  expect(over).toMatchObject({ code: 1, stdout: '' });
  expect(over.stderr).toBe(unknown(hashOf(ends)));
  // Where a task has no user, its id is a credential.
  for (const id of [film, asks, leaves, ends, fails]) expect(printed.join('')).not.toContain(id);
  expect(printed.join('')).not.toMatch(/secret|x-user|[^\P{Cc}\n]/u);
});

describe('on a store without a server', () => {
  const NAME = 'sojourn';
  async function opened() {
    const { file, env: onFile, serve } = newFile();
    const options = {
      ...DEFAULTS,
      perUser: USER_DEFAULTS,
      notices: new Notices(),
      deployment: NAME,
    };
    const store: EndpointStore = await openEndpointStore(sqlite(file), options);
    onTestFinished(() => store.close());
    const env = { ...onFile, SOJOURN_DEPLOYMENT: NAME };
    const run = async (
      what: string,
      id?: string,
      { between, json = false }: { between?: () => unknown; json?: boolean } = {},
    ) => {
      const flags = [...(json ? ['--json'] : []), ...(what === 'cancel' ? ['--yes'] : [])];
      const args = ['tasks', what, ...flags, ...(id === undefined ? [] : ['--', id])];
      const { stdout, stderr } = await runHere(args, {
        env,
        ...(between !== undefined && { between }),
      });
      return stdout + stderr;
    };
    /** A task in a state. */
    const create = async (
      n: number,
      body: string,
      owner: string | null = null,
      fields: Readonly<Record<string, string>> = {},
    ): Promise<string> => {
      const id = `${'g'.repeat(16)}.${String(n).padStart(22, '0')}`;
      const at = Date.now();
      const head = headText({ state: 'queued', attempt: 1 });
      const record = { v: RECORD_VERSION, id, epoch: 1, owner, user: null, head, body, fields };
      await store.tasks.create({ ...record, createdAt: at, stamp: at }, 60_000, 0);
      return id;
    };
    return { store, run, create, serve };
  }
  const kept: TaskBody = {
    tool: 'film',
    afterCrash: 'fail',
    ttlMs: 60_000,
    keepMs: 60_000,
    pollIntervalMs: 1_000,
    maxAttempts: 5,
    version: '2026-07-28',
    fields: {} as TaskBody['fields'],
  };

  test('a task whose instance died is orphaned', async () => {
    const { run, create } = await opened();
    expect(await run('ls')).toMatch(/^HASH .*\n\n0 tasks\n$/);
    expect(await run('ls', undefined, { json: true })).toBe('');
    const body = bodyText(kept, { jsonrpc: '2.0', id: 1, method: 'tools/call' });
    const [orphan, queued] = [await create(0, body, 'dead'), await create(1, body)];
    const lines = linesOf(await run('ls', undefined, { json: true }));
    expect(lines.map(({ hash }) => hash).toSorted()).toEqual(
      [orphan, queued].map(hashOf).toSorted(),
    );
    expect(await run('ls')).toMatch(/\n2 tasks: (1 queued|1 orphaned), (1 queued|1 orphaned)\n$/);
    expect(JSON.parse(await run('show', orphan))).toMatchObject({
      owner: 'dead',
      status: 'orphaned',
    });
    for (const id of [orphan, queued])
      expect(await run('cancel', id)).toBe(`cancelled ${hashOf(id)}\n`);
  });

  test('damaged tasks are named, and hide no other from a list', async () => {
    const { run, create, serve } = await opened();
    const body = bodyText(kept, { jsonrpc: '2.0', id: 1, method: 'tools/call' });
    const fine = await create(0, body);
    const wrongTool = await create(1, body.replace('"film"', '7'));
    const question = await create(2, body, null, { qcolour: '{' });
    const log = createLog();
    const { endpoint } = await serve(createEchoServer, {
      tasks: true,
      logger: log,
      deployment: NAME,
    });
    const { tasks } = await endpoint.tasks.list();
    expect(tasks.map(({ taskId }) => taskId)).toEqual([fine, wrongTool]);
    const named = () => log.matching(/^A record in the store cannot be read/, 'error');
    expect(named().map(({ fields }) => fields['record'])).toEqual([hashOf(question)]);
    const errors = vi.spyOn(console, 'error').mockReturnValue();
    const listed = await run('ls');
    expect(listed).toContain(hashOf(fine));
    expect(listed).toContain(hashOf(question));
    expect(errors.mock.calls.flat().join('')).toContain(`record: '${hashOf(wrongTool)}'`);
    errors.mockRestore();
  });

  test('a task that ends in between is not cancelled', async () => {
    const { run, create, store } = await opened();
    const id = await create(1, bodyText(kept, { jsonrpc: '2.0', id: 1, method: 'tools/call' }));
    const between = () =>
      store.tasks.end(id, { epoch: 1, owner: null }, '{"v":1,"status":"completed"}', 60_000);
    expect(await run('cancel', id, { between })).toMatch(
      /^sojourn: the task has ended since, so nothing was cancelled/,
    );
  });

  test('what a newer build has written is listed, and neither read nor cancelled', async () => {
    const { run, create, store } = await opened();
    const id = await create(1, '{"v":2,"tool":"secret"}');
    expect(await run('ls')).toMatch(new RegExp(`^${hashOf(id)} +\\? +queued `, 'm'));
    expect(JSON.parse(await run('show', id))).not.toHaveProperty('tool');
    expect(await run('cancel', id)).toMatch(
      /^sojourn: A newer build of this server has made this task/,
    );
    await store.tasks.end(id, { epoch: 1, owner: null }, '{"v":2,"result":"secret"}', 60_000);
    expect(JSON.parse(await run('show', id))).toMatchObject({
      hash: hashOf(id),
      status: expect.stringMatching(/^unreadable: /) as string,
    });
    expect(await run('cancel', id)).toMatch(/^sojourn: this task has already ended: unreadable/);
  });

  test('unknown ids, and what is no id', async () => {
    const { run, store } = await opened();
    const huge = `${'g'.repeat(3_000)}.${'0'.repeat(22)}`;
    for (const id of [
      'unknown',
      '',
      '.',
      'a.b',
      '../x',
      '%',
      '*.>',
      huge,
      '\u00e9\u{1f600}',
      'x'.repeat(20_000),
    ])
      for (const what of ['show', 'cancel'] as const)
        expect(await run(what, id), id.slice(0, 40)).toBe(unknown(id));
    expect(await store.tasks.count()).toBe(0);
  });
});
