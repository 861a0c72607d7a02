// @module-tag matrix
/** `sojourn doctor --contract` on real stores: what it says, and that nothing of its scratch name stays. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRawClient } from '../../src/testing/index.ts';
import { isAvailable, missingServer, serverKinds, startServer, type ServerKind } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connect as connectPostgres } from '../stores/postgres-views.ts';
import { openRedis } from '../stores/redis-views.ts';
import { program, runProcess, startCli } from './cli-process.ts';

interface Report {
  readonly warnings: readonly string[];
  readonly contract: { readonly passed: number; readonly failed: readonly unknown[]; readonly leftOut: number };
}

/** A store, and everything in it whose name says that it is a scratch. */
interface Place {
  readonly url: string;
  scratches(): Promise<readonly string[]>;
}

type Kind = ServerKind | 'sqlite';

const isScratch = (name: string): boolean => name.includes('doctor_');

async function placeOf(kind: Kind): Promise<Place> {
  if (kind === 'sqlite') {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-contract-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return { url: `sqlite:${join(folder, 's.db')}`, scratches: async () => readdirSync(folder).filter(isScratch) };
  }
  const server = await startServer(kind, kind === 'redis' ? { args: ['--appendonly', 'yes'] } : {});
  onTestFinished(() => server.close());
  return { url: server.url, scratches: await scratchesOn(kind, server.url) };
}

async function scratchesOn(kind: ServerKind, url: string): Promise<Place['scratches']> {
  switch (kind) {
    case 'redis': {
      const ask = await openRedis(url);
      return async () => ((await ask('KEYS', '*')) as string[]).filter(isScratch);
    }
    case 'postgres': {
      const client = await connectPostgres(url);
      const text = 'SELECT nspname FROM pg_namespace';
      return async () =>
        (await client.query<{ nspname: string }>(text)).rows.map(({ nspname }) => nspname).filter(isScratch);
    }
  }
}

/** A deployment serves with the store: `sqlite:` opens no file that does not exist. */
async function serving(url: string) {
  const cli = startCli(['serve', program('counting-server.mjs'), '--store', url, '--port', '0']);
  const client = createRawClient(await cli.url());
  onTestFinished(() => client.close());
  await client.initialize();
  return client;
}

const KINDS: readonly Kind[] = ['sqlite', ...serverKinds];
/** One handler serves both signals, whatever the store is. */
const SIGNALS = { sqlite: 'SIGINT', redis: 'SIGTERM', postgres: 'SIGINT' } as const;

describe.each(KINDS)('on %s', (kind) => {
  const lacks = kind === 'sqlite' || isAvailable(kind) ? '' : ` (${missingServer(kind)})`;

  const signal = SIGNALS[kind];

  test.skipIf(lacks !== '')(
    `every case passes beside a deployment that serves, and nothing stays, also after ${signal}${lacks}`,
    { timeout: 240_000 },
    async () => {
      const { url, scratches } = await placeOf(kind);
      const client = await serving(url);
      const cli = startCli(['doctor', url, '--contract']);
      await until(async () => (await scratches()).length > 0, { timeoutMs: 60_000, what: 'its scratch' });
      cli.kill(signal);
      const interrupted = await cli.ended();
      expect([interrupted.code, interrupted.stdout]).toEqual([1, '']);
      expect(interrupted.stderr).toMatch(/interrupted; \S+ is removed\n$/);
      expect(await scratches()).toEqual([]);

      const { code, stdout, stderr } = await runProcess(['doctor', url, '--contract', '--json']);
      const report = JSON.parse(stdout) as Report;
      expect([code, report.warnings, report.contract.failed]).toEqual([0, [], []]);
      expect(report.contract.passed).toBeGreaterThan(100);
      expect(stderr).toMatch(/^sojourn: runs \d+ cases of the store contract under the name \S+, /);
      expect(await scratches()).toEqual([]);
      expect((await client.call('ping')).message.result).toEqual({});
    },
  );
});

describe.skipIf(!isAvailable('redis'))('a user who may not remove', () => {
  test.each([
    ['SCAN', '-scan'],
    ['UNLINK', '-unlink'],
  ])('is refused before anything is written: %s', async (_name, right) => {
    const { url, scratches } = await placeOf('redis');
    const ask = await openRedis(url);
    await ask('ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', right);
    const limited = new URL(url);
    limited.username = 'limited';
    limited.password = 'secret';
    const { code, stderr } = await runProcess(['doctor', limited.href, '--contract']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^sojourn: --contract needs a user who may remove sojourn:doctor_\w+: /);
    expect(await scratches()).toEqual([]);
  });
});

test.skipIf(!isAvailable('postgres'))('a user who may not make a schema gets one reason', async () => {
  const { url, scratches } = await placeOf('postgres');
  await serving(url);
  const owner = await connectPostgres(url);
  await owner.query(`CREATE USER limited PASSWORD 'secret'`);
  await owner.query('GRANT USAGE ON SCHEMA sojourn TO limited');
  await owner.query('GRANT ALL ON ALL TABLES IN SCHEMA sojourn TO limited');
  await owner.query('GRANT ALL ON ALL SEQUENCES IN SCHEMA sojourn TO limited');
  const limited = new URL(url);
  limited.username = 'limited';
  limited.password = 'secret';
  const { code, stderr } = await runProcess(['doctor', limited.href, '--contract']);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /--contract needs a user who may make sojourn_doctor_\w+: .*may not make or change the schema/,
  );
  expect(await scratches()).toEqual([]);
});
