/** `sojourn tasks ls | show | cancel` on the store of a real `sojourn serve --tasks`. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { tasks as tasksCommand } from '../../src/cli/tasks.ts';
import { type EndpointStore, openEndpointStore } from '../../src/endpoint/endpoint-store.ts';
import { Notices } from '../../src/observe/notices.ts';
import { DEFAULTS } from '../../src/options/table.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { RECORD_VERSION } from '../../src/stores/store.ts';
import { bodyText, headText, type KeptTask } from '../../src/tasks/task-record.ts';
import { createRawClient } from '../kit/raw-client.ts';
import { hashOf } from '../kit/log.ts';
import { durableKinds, sharedDeployment, useSharedStores, type DurableKind } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { TaskClient } from '../tasks/kit.ts';
import { program, runProcess, startCli } from './cli-process.ts';

function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-tasks-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 's.db');
}

function deployment(kind: DurableKind, more: Record<string, string> = {}) {
  const { store = `sqlite:${newFile()}`, env = {} } = sharedDeployment(kind);
  const shared = { ...env, SOJOURN_STORE: store, ...more };
  /** `input`: what it reads. */
  const tasks = (args: string[], input?: string) =>
    runProcess(['tasks', ...args], { env: shared, ...(input !== undefined && { input }) });
  return {
    tasks,
    start: () => startCli(['serve', program('task-server.mjs'), '--tasks', '--port', '0'], { env: shared }),
    list: async (...flags: string[]) => linesOf((await tasks(['ls', '--json', '--ids', ...flags])).stdout),
  };
}

async function clientOf(cli: ReturnType<typeof startCli>, user: string): Promise<TaskClient> {
  const raw = createRawClient(await cli.url(), { timeoutMs: 20_000 });
  onTestFinished(() => raw.close());
  return new TaskClient(raw, { headers: { 'x-user': user } });
}

const linesOf = (text: string): Array<Record<string, unknown>> =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

useSharedStores();

/** SQLite, and the first server that is installed. */
const kinds = durableKinds.slice(0, 2);

describe.each(kinds)('on %s', (kind) => {
  test('tasks are listed, shown and cancelled, and no payload is printed', { timeout: 120_000 }, async () => {
    const { start, tasks, list } = deployment(kind);
    const printed: string[] = [];
    const told = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await tasks(args);
      printed.push(stdout, stderr);
      expect({ code, args, stderr: /^sojourn: .*/m.exec(stderr)?.[0] }).toEqual({ code: 0, args, stderr: undefined });
      return stdout;
    };
    const cli = start();
    const [ada, bob] = [await clientOf(cli, 'ada'), await clientOf(cli, 'bob')];
    const film = await ada.start('film', { text: 'secret argument' });
    const asks = await bob.start('asks');
    const leaves = await bob.start('leaves');
    const [ends, fails] = [await bob.start('ends'), await bob.start('fails')];
    await ada.until(film, 'working');
    await bob.until(asks, 'input_required');
    await Promise.all([bob.ended(ends), bob.ended(fails)]);
    const statuses = async () => Object.fromEntries((await list()).map(({ id, status }) => [id, status]));
    const all = { [film]: 'working', [asks]: 'input_required', [leaves]: 'detached' };
    await until(async () => JSON.stringify(Object.values(await statuses()).toSorted()).includes('"detached"'));
    expect(await statuses()).toEqual(all);

    const table = await told('ls');
    expect(table).toMatch(/^HASH +TOOL +STATUS +ATTEMPT +AGE +EXPIRES +OWNER +USER\n/);
    expect(table, cli.output.stderr).toMatch(
      new RegExp(`^${hashOf(film)} +film +working +1 +\\d+s +23h +\\S{12} +ada$`, 'm'),
    );
    expect(table).toMatch(new RegExp(`^${hashOf(leaves)} +leaves +detached +1 +\\d+s +23h +- +bob$`, 'm'));
    expect(table).toMatch(/\n\n3 tasks: 1 working, 1 input_required, 1 detached\n$/);
    expect(linesOf(await told('ls', '--json')).map(({ hash }) => hash)).toEqual(
      (await list()).map(({ id }) => hashOf(String(id))),
    );
    const withIds = await tasks(['ls', '--ids']);
    expect(withIds.stdout).toMatch(new RegExp(`^${film} +${hashOf(film)} +film +working`, 'm'));
    const key = '["sub","","ada"]';
    for (const user of ['ada', key])
      expect(await list('--user', user)).toMatchObject([{ id: film, tool: 'film', user: key, userName: 'ada' }]);
    expect(await list('--user', 'ad')).toEqual([]);

    const running = await told('show', hashOf(film));
    expect(running).toMatch(new RegExp(`^hash +${hashOf(film)}$`, 'm'));
    expect((await tasks(['show', film, '--ids'])).stdout).toMatch(new RegExp(`^id +${film}$`, 'm'));
    const owner = new RegExp(`^owner +\\S{12} serving, sojourn \\S+, ${hostname()} pid ${cli.parent} since `, 'm');
    for (const row of [
      owner,
      /^message +scene 3 of 9\ufffd\[2J$/m,
      /^after a crash +it runs again$/m,
      /^due +no, from 2/m,
    ])
      expect(running).toMatch(row);
    expect(running).toMatch(/^attempt +1 of 5, round 1$/m);
    expect(running).toMatch(/^size +\d+ bytes: call \d{3,}, questions, answers and message \d\d$/m);
    expect(running).toMatch(/^steps +\d\d bytes$/m);
    expect(running).toMatch(/^expires +20\S+Z, in 23h$/m);
    await bob.update(asks, { size: { action: 'decline' } });
    const asking = await told('show', asks, '--json');
    const questions = [
      { name: 'colour', answered: false },
      { name: 'size', answered: true },
    ];
    expect(linesOf(asking)).toMatchObject([
      {
        hash: hashOf(asks),
        status: 'input_required',
        ownerState: 'serving',
        pid: cli.parent,
        user: '["sub","","bob"]',
        questions,
      },
    ]);
    expect(await told('show', asks)).toMatch(/^question +colour \(open\)$/m);
    expect(await told('show', leaves)).toMatch(/^owner +-$[^]*^due +no$/m);
    expect(await told('show', ends)).toMatch(/^status +completed$[^]*^size +\d+ bytes$[^]*^kept until +20\S+Z$/m);
    expect(linesOf(await told('show', fails, '--json'))).toMatchObject([
      { tool: 'fails', status: 'failed', errorCode: -32_602 },
    ]);

    for (const input of [undefined, 'no\n']) {
      const kept = await tasks(['cancel', asks], input);
      printed.push(kept.stderr);
      expect(kept).toMatchObject({ code: 1, stdout: '' });
      expect(kept.stderr).toMatch(
        /^hash +\S+\ntool +asks\n[^]*\[y\/N\] sojourn: nothing was cancelled: answer y, or give --yes\n$/,
      );
    }
    expect(await statuses()).toEqual(all);
    const instance = /^owner +(\S+)/m.exec(running)?.[1];
    expect(await told('cancel', hashOf(asks).slice(0, 8), '--yes')).toBe(
      `cancelled ${hashOf(asks)}\ninstance ${instance} runs it, and stops it within 25 s\n`,
    );
    expect(await bob.get(asks)).toMatchObject({ status: 'cancelled' });
    // Where a question waits, its owner looks each 5 s.
    await until(() => cli.output.stderr.includes('asks was stopped'), {
      timeoutMs: 30_000,
      what: 'the handler to stop',
    });
    expect(await told('cancel', leaves, '--yes')).toBe(
      `cancelled ${hashOf(leaves)}\nwhat works on it elsewhere is not told\n`,
    );
    expect(linesOf(await told('cancel', film, '--yes', '--json'))).toEqual([
      { hash: hashOf(film), status: 'cancelled', owner: instance },
    ]);
    for (const id of [film, ends]) {
      const again = await tasks(['cancel', id, '--yes']);
      expect(again).toMatchObject({ code: 1, stdout: '' });
      expect(again.stderr).toMatch(/^sojourn: this task has already ended: (cancelled|completed) at 20\S+Z\n$/);
    }
    expect(await told('ls')).toMatch(/^HASH .*\n\n0 tasks\n$/);
    const over = await tasks(['show', hashOf(ends)]);
    expect(over).toMatchObject({ code: 1, stdout: '' });
    expect(over.stderr).toBe(
      `sojourn: no task in this store has a hash that begins with ${hashOf(ends)}: one that has ended is found by its id ` +
        'alone. Set --name to the name of its endpoint\n',
    );
    for (const id of ['none', '*.>', `${'g'.repeat(3_000)}.${'0'.repeat(22)}`]) {
      const unknown = await tasks(['show', id]);
      expect(unknown).toMatchObject({ code: 1, stdout: '' });
      expect(unknown.stderr).toMatch(/^sojourn: there is no task "/);
    }
    // Where a task has no user, its id is a credential.
    for (const id of [film, asks, leaves, ends, fails]) expect(printed.join('')).not.toContain(id);
    expect(printed.join('')).not.toMatch(/secret|x-user|[^\P{Cc}\n]/u);
  });
});

test(
  'a task whose instance crashed is orphaned, one of a drained instance is queued',
  { timeout: 60_000 },
  async () => {
    const { start, tasks, list } = deployment('sqlite', { SOJOURN_LEASE_MS: '2000' });
    const statuses = async () =>
      (await list()).map(({ tool, status }) => `${String(tool)} ${String(status)}`).toSorted();
    const first = start();
    const client = await clientOf(first, 'ada');
    const [film, pay] = [await client.start('film'), await client.start('pay')];
    first.kill('SIGKILL');
    await first.ended();
    await until(async () => (await statuses()).join() === 'film orphaned,pay orphaned', { timeoutMs: 20_000 });
    const shown = (await tasks(['show', pay])).stdout;
    expect(shown).toMatch(/^owner +\S+, which has no lease: it has died$/m);
    expect(shown).toMatch(/^after a crash +it ends as owner_lost$/m);
    expect(await tasks(['cancel', pay, '--yes'])).toMatchObject({ code: 0, stdout: `cancelled ${hashOf(pay)}\n` });
    const second = start();
    const again = await clientOf(second, 'ada');
    await again.get(film);
    await until(async () => (await statuses()).join() === 'film working', {
      timeoutMs: 20_000,
      what: 'its next attempt',
    });
    expect(await list()).toMatchObject([{ attempt: 2 }]);
    // The log names a task as the list does.
    expect(second.output.stderr).toContain(`"task":"${hashOf(film)}"`);
    await until(() => second.output.stdout.includes('Stop with'));
    second.kill('SIGTERM');
    await second.ended();
    expect(await statuses()).toEqual(['film queued']);
    expect((await tasks(['show', film])).stdout).toMatch(/^owner +-$[^]*^due +yes, since 20\S+Z$/m);
    expect(await tasks(['cancel', film, '--yes'])).toMatchObject({ code: 0, stdout: `cancelled ${hashOf(film)}\n` });
  },
);

describe('on a store without a server', () => {
  const NAME = 'sojourn';
  async function opened() {
    const file = newFile();
    const storeUrl = `sqlite:${file}`;
    const options = { ...DEFAULTS, notices: new Notices(), name: NAME };
    const store: EndpointStore = await openEndpointStore(sqlite(file), options);
    onTestFinished(() => store.close());
    const run = async (
      what: 'ls' | 'show' | 'cancel',
      id = '',
      more: { json?: boolean; between?: () => unknown } = {},
    ) => {
      const { json = false, between } = more;
      const printed: string[] = [];
      const yes = between === undefined;
      const request = { what, id, storeUrl, origin: '--store', name: NAME, json, ids: false, yes };
      const confirms = async (): Promise<boolean> => {
        await between?.();
        return true;
      };
      try {
        await tasksCommand(request, { out: (text) => printed.push(text), confirms });
        return printed.join('');
      } catch (error) {
        return `failed: ${(error as Error).message}`;
      }
    };
    /** A task that no instance has. */
    const create = async (n: number, body: string): Promise<string> => {
      const id = `${'g'.repeat(16)}.${String(n).padStart(22, '0')}`;
      const at = Date.now();
      const head = headText({ state: 'queued', attempt: 1, round: 1 });
      const record = { v: RECORD_VERSION, id, epoch: 1, owner: null, user: null, head, body, fields: {} };
      await store.tasks.create({ ...record, createdAt: at, stamp: at }, 60_000, 0);
      return id;
    };
    return { store, file, run, create };
  }
  const kept: KeptTask = {
    tool: 'film',
    resume: undefined,
    ttlMs: 60_000,
    keepMs: 60_000,
    pollIntervalMs: 1_000,
    maxAttempts: 5,
    request: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: {} },
    version: '2026-07-28',
    fields: {} as KeptTask['fields'],
    nonce: 'n',
  };

  test('every page is listed', async () => {
    const { run, create } = await opened();
    expect(await run('ls')).toMatch(/^HASH .*\n\n0 tasks\n$/);
    expect(await run('ls', '', { json: true })).toBe('');
    const ids: string[] = [];
    for (let n = 0; n < 230; n++) ids.push(await create(n, bodyText(kept)));
    const lines = linesOf(await run('ls', '', { json: true }));
    expect(lines.map(({ hash }) => hash).toSorted()).toEqual(ids.map(hashOf).toSorted());
    expect((await run('ls')).split('\n').slice(-2)).toEqual(['230 tasks: 230 queued', '']);
  });

  test('a task that ends while the operator reads the question is not cancelled', async () => {
    const { run, create, store } = await opened();
    const id = await create(1, bodyText(kept));
    const between = () => store.tasks.end(id, { epoch: 1, owner: null }, '{"v":1,"status":"completed"}', 60_000);
    expect(await run('cancel', id, { between })).toMatch(/^failed: the task has ended since, so nothing was cancelled/);
  });

  test('what a newer build has written is listed, and neither read nor cancelled', async () => {
    const { run, create, store } = await opened();
    const id = await create(1, '{"v":2,"tool":"secret"}');
    expect(await run('ls')).toMatch(new RegExp(`^${hashOf(id)} +\\? +queued `, 'm'));
    expect(await run('show', id)).toMatch(/^tool +unreadable: a newer build of sojourn has made this task$/m);
    expect(await run('cancel', id)).toMatch(/^failed: A newer build of this server has made this task/);
    await store.tasks.end(id, { epoch: 1, owner: null }, '{"v":2,"result":"secret"}', 60_000);
    expect(await run('show', id)).toMatch(/^status +unreadable: a newer build of sojourn has ended it at 20\S+Z$/m);
    expect(linesOf(await run('show', id, { json: true }))).toMatchObject([{ hash: hashOf(id), status: 'unreadable' }]);
    expect(await run('cancel', id)).toMatch(/^failed: this task has already ended: unreadable/);
  });

  test('unknown ids, and what is no id', async () => {
    const { run, store } = await opened();
    for (const id of [
      'unknown',
      '',
      '.',
      'a.b',
      '../x',
      '%',
      `${'g'.repeat(16)}.${'0'.repeat(22)}`,
      '\u00e9\u{1f600}',
      'x'.repeat(20_000),
    ])
      for (const what of ['show', 'cancel'] as const)
        expect(await run(what, id), id.slice(0, 40)).toBe(
          `failed: there is no task ${JSON.stringify(id)} in this store, or its time is over; set --name to the name of its endpoint`,
        );
    expect(await store.tasks.count()).toBe(0);
  });

  test('exit codes, and stores that cannot be read', async () => {
    const file = newFile();
    expect(await runProcess(['tasks', 'ls', '--store', `sqlite:${file}`])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: `sojourn: ${file} does not exist; check the path in --store\n`,
    });
    expect(existsSync(file)).toBe(false);
    expect(await runProcess(['tasks', 'ls', '--store', 'memory:'])).toMatchObject({ code: 2 });
    expect(await runProcess(['tasks', 'show', 'x'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^sojourn: tasks show needs --store \(or SOJOURN_STORE\)/) as string,
    });
  });
});
