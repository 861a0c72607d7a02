/** `sojourn doctor` on real stores, healthy ones and others. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  describeWhereInstalled,
  freePort,
  serverKinds,
  startServer,
  type TestServer,
} from '../kit/servers/index.ts';
import { openRedis } from '../stores/redis-views.ts';
import { storeOf } from '../../src/cli/store-url.ts';
import { createLab } from '../kit/lab.ts';
import { runProcess } from './cli-process.ts';
import { newFile, runHere } from './here.ts';
import { serve } from '../kit/serve.ts';

interface Report {
  readonly latencyMs: Readonly<Record<string, number>>;
  readonly instances: ReadonlyArray<{
    readonly id: string;
    readonly state: string;
    readonly version: string;
  }>;
  readonly facts: readonly string[];
  readonly warnings: readonly string[];
}

async function doctor(
  url: string,
): Promise<{ code: number | null; stderr: string; report: Report | undefined }> {
  const { code, stdout, stderr } = await runHere(['doctor', url, '--json']);
  return { code, stderr, report: stdout === '' ? undefined : (JSON.parse(stdout) as Report) };
}

const OPERATIONS = ['create', 'read', 'save', 'append', 'end'];

async function serving(url: string): Promise<void> {
  const { client } = await serve(createLab().factory, { store: (await storeOf(url, '')).store });
  await client().initialize();
}

test('SQLite: who serves, what each operation takes, and no record stays', async () => {
  const { env } = newFile();
  const store = env.SOJOURN_STORE;
  await serving(store);
  const { code, report } = await doctor(store);
  expect({ code, report }).toMatchObject({
    code: 0,
    report: {
      instances: [{ state: 'serving', process: { pid: expect.any(Number) as number } }],
      warnings: [],
    },
  });
  expect(Object.keys(report?.latencyMs ?? {})).toEqual(OPERATIONS);
  const { stdout } = await runProcess(['doctor'], { env });
  expect(stdout).toMatch(/^ {2}instance +\S+ serving, /m);
  expect(stdout).toMatch(/\nNo problem found\.\n$/);
});

test('a wrong command line: exit code 2, and no file is made', async () => {
  expect(await runHere(['doctor'])).toMatchObject({ code: 2 });
  expect(await runHere(['doctor', 'memory:'])).toMatchObject({ code: 2 });
  const { env } = newFile();
  for (let n = 0; n < 2; n++) {
    const stderr = expect.stringContaining('does not exist') as string;
    expect(await doctor(env.SOJOURN_STORE)).toMatchObject({ code: 1, stderr });
  }
});

describe.each(serverKinds)('on %s', (kind) => {
  describeWhereInstalled(kind, 'doctor', () => {
    let server: TestServer;
    beforeAll(async () => {
      server = await startServer(kind, kind === 'redis' ? { args: ['--appendonly', 'yes'] } : {});
    });
    afterAll(() => server?.close());

    test('a healthy one: exit code 0', async () => {
      await serving(server.url);
      const { code, report } = await doctor(server.url);
      expect(report?.warnings).toEqual([]);
      expect(code).toBe(0);
      expect(report).toMatchObject({ instances: [{ state: 'serving' }] });
      expect(Object.keys(report?.latencyMs ?? {})).toEqual(OPERATIONS);
    });

    test('not to be reached: its address and the reason in one line, and no password', async () => {
      const url = new URL(server.url);
      url.port = String(await freePort());
      url.username = 'ann';
      url.password = 'hunter22-hunter';
      const { code, stderr } = await doctor(url.href);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^sojourn: (Redis|PostgreSQL) at .*(ECONNREFUSED|refused).*\n$/i);
      expect(stderr).not.toContain('hunter22');
    });
  });
});

describeWhereInstalled('redis', 'a Redis that loses data', () => {
  test.each([
    [['--save', '3600 1'], ['This Redis appends nothing to disk'], []],
    [['--appendonly', 'yes'], [], ['This Redis keeps its data on disk (appendonly)']],
  ])('the report says whether it keeps data on disk: %j', async (args, warnings, facts) => {
    const server = await startServer('redis', { args });
    onTestFinished(() => server.close());
    const { report } = await doctor(server.url);
    expect(report?.warnings).toEqual(
      warnings.map((text) => expect.stringContaining(text) as string),
    );
    expect(report?.facts).toEqual(facts);
  });

  test('that is full is a warning of its own, beside who serves', async () => {
    const server = await startServer('redis', { args: ['--appendonly', 'yes'] });
    onTestFinished(() => server.close());
    await serving(server.url);
    const ask = await openRedis(server.url);
    await ask('CONFIG', 'SET', 'maxmemory', '1mb');
    const { code, stdout, stderr } = await runHere(['doctor', server.url]);
    await ask('CONFIG', 'SET', 'maxmemory', '0');
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatch(/^ {2}latency +not measured\n {2}instance +\S+ serving/m);
    expect(stdout).toMatch(/^ {2}warning +The store is full, .* Give it more$/m);
  });

  test('its eviction is a warning, exit code 1, and it keeps nothing of the look', async () => {
    const server = await startServer('redis', { args: ['--maxmemory-policy', 'allkeys-lru'] });
    onTestFinished(() => server.close());
    const { code, report } = await doctor(server.url);
    expect({ code, warnings: report?.warnings }).toEqual({
      code: 1,
      warnings: [
        expect.stringContaining('This Redis appends nothing to disk'),
        expect.stringContaining('set maxmemory-policy to noeviction'),
      ],
    });
    const ask = await openRedis(server.url);
    expect(await ask('KEYS', '*doctor*')).toEqual([]);
  });
});
