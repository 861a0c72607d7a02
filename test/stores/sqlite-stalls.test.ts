// @module-tag matrix
/** A disk that does not answer: its flushes do not end. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Libsql from 'libsql';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Checkpointer } from '../../src/stores/sqlite/checkpointer.ts';
import { loadBackgroundLibsql } from '../../src/stores/sqlite/libsql.ts';
import { BUSY_LIMIT_MS } from '../../src/stores/sqlite/retry.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { connectV2 } from '../clients/official.ts';
import { startNode } from '../kit/child-process.ts';
import { createLog } from '../kit/log.ts';
import { noStalls, stalledDisk } from '../kit/stalled-disk.ts';
import { until } from '../kit/until.ts';
import { newFolder, newPath } from './sqlite-views.ts';

const server = fileURLToPath(new URL('processes/stalled-server.mjs', import.meta.url));

/** The first statement has the settings of the connection, the second copies, the third finishes. */
const FINISHING = 3;

test('the end of a copy that does not end holds writes for a moment, is reported once, and the next copy is complete', async () => {
  const [path, log, time] = [newPath(), createLog(), createFakeTime()];
  const writer = new Libsql(path);
  writer.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE rows (data TEXT)');
  for (let n = 0; n < 50; n++) writer.prepare('INSERT INTO rows VALUES (?)').run(['x'.repeat(400_000)]);
  // Until the reader ends, no copy reaches the end of the log.
  const reader = new Libsql(path);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM rows').get([]);
  const write = (): unknown => writer.prepare('INSERT INTO rows VALUES (?)').run(['y']);
  write();
  const told: string[] = [];
  const file = {
    path,
    hold: (until: Promise<unknown>) => {
      told.push('hold');
      void until.then(() => told.push('resume'));
    },
  };
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const executed: string[] = [];
  const checkpointer = new Checkpointer(file, time, log, async (...args) => {
    const connection = await loadBackgroundLibsql(...args);
    const exec = async (sql: string): Promise<void> => {
      if (executed.push(sql) === FINISHING) await released;
      await connection.exec(sql);
    };
    return { exec, close: () => connection.close() };
  });
  onTestFinished(async () => {
    release();
    await checkpointer.close();
    writer.close();
  });
  const full = (): void => {
    for (let commit = 0; commit < 64; commit++) checkpointer.committed();
  };
  full();
  await until(() => executed.length === FINISHING);
  expect(told).toEqual(['hold']);
  await time.advance(BUSY_LIMIT_MS / 2);
  expect(told).toEqual(['hold', 'resume']);
  expect(log.matching(/has not finished a copy/, 'warn')).toEqual([]);
  await time.advance(BUSY_LIMIT_MS);
  full();
  await time.advance(60_000);
  expect(log.matching(/has not finished a copy/, 'warn')).toHaveLength(1);
  release();
  await until(() => log.matching(/answers again/, 'info').length === 1);
  expect(executed).toHaveLength(FINISHING);
  reader.exec('COMMIT');
  reader.close();
  write();
  await time.advance(1_000);
  full();
  await until(() => executed.length > FINISHING);
  await checkpointer.close();
  expect(told).toEqual(['hold', 'resume']);
  expect(log.matching(/./, 'warn')).toHaveLength(1);
});

/** 100 answers of this size fill the log. */
const LARGE = 200_000;

describe.skipIf(noStalls !== undefined)(
  `a disk whose flushes do not end${noStalls === undefined ? '' : ` (${noStalls})`}`,
  { timeout: 180_000 },
  () => {
    async function serving() {
      const folder = newFolder();
      const disk = stalledDisk(folder);
      const { child, output, closed, alive } = startNode([server, join(folder, 'sessions.db')], { env: disk.env });
      const printed = (): string | undefined => /^http:\S+/m.exec(output.stdout)?.[0];
      await until(() => printed() !== undefined, { timeoutMs: 60_000, what: 'the server to listen' });
      const url = printed() ?? '';
      const client = await connectV2(url);
      let calls = 0;
      const call = async (bytes: number): Promise<void> => {
        calls += 1;
        const text = await client.say('count', { bytes }, { timeout: 30_000 });
        expect(text).toBe(`${calls} ${'x'.repeat(bytes)}`);
      };
      const opened = disk.flushes().length;
      /** Calls until the log is full and `then` is true. */
      const callUntil = async (then: () => boolean): Promise<void> => {
        for (let n = 0; !then() && n < 1_000; n++) await call(LARGE);
        expect(then()).toBe(true);
      };
      return { child, output, closed, alive, disk, url, call, callUntil, flushes: () => disk.flushes().slice(opened) };
    }

    test.each([
      ['the log', 'all'],
      ['the database', 'database'],
    ] as const)('of %s: calls go on, and the log is copied when the disk answers', async (_, which) => {
      const { output, disk, call, callUntil, flushes } = await serving();
      disk.stall(which);
      await callUntil(() => output.stdout.includes('has not finished a copy'));
      const stalled = flushes().length;
      for (let n = 0; n < 20; n++) await call(LARGE);
      expect(flushes()).toHaveLength(stalled);
      disk.release();
      await until(() => output.stdout.includes('answers again'), { timeoutMs: 60_000 });
      await callUntil(() => flushes().filter((one) => one.endsWith('.db')).length > 1);
      expect(output.stdout).not.toContain('cannot be written');
      expect(output.stdout.match(/^warn The disk of/gm)).toHaveLength(1);
      expect(flushes().filter((one) => one.startsWith('loop'))).toEqual([]);
    });

    test('of a log that starts afresh: calls wait, health is answered, and each call runs once', async () => {
      const { output, disk, url, call, callUntil, flushes } = await serving();
      disk.stall('restart');
      let over = false;
      const calls = callUntil(() => over);
      await until(() => flushes().findIndex((one) => one.endsWith('.db')) >= 0, { timeoutMs: 60_000 });
      const status = async (path: string): Promise<number> => (await fetch(new URL(path, url))).status;
      await until(async () => (await status('/readyz')) === 503, { timeoutMs: 60_000, what: 'the lease to run out' });
      expect(await status('/healthz')).toBe(200);
      await until(() => output.stdout.includes('by a copy of its own log, for 2000 ms'), { timeoutMs: 60_000 });
      disk.release();
      await until(async () => (await status('/readyz')) === 200, { timeoutMs: 60_000, what: 'a new lease' });
      over = true;
      await calls;
      await call(1);
      expect(output.stdout.match(/^warn The disk of/gm)).toHaveLength(1);
      expect(flushes().filter((one) => one.startsWith('loop'))).toEqual([]);
    });

    test.each(['all', 'restart'] as const)('an endpoint closes while flushes stall (%s)', async (which) => {
      const { child, output, closed, alive, disk, callUntil, flushes } = await serving();
      disk.stall(which);
      // The call that runs when the endpoint closes may fail.
      const calls = callUntil(() => flushes().some((one) => which === 'all' || one.endsWith('.db'))).catch(() => {});
      await until(() => flushes().some((one) => which === 'all' || one.endsWith('.db')), { timeoutMs: 60_000 });
      await until(() => output.stdout.includes('has not finished a copy'), { timeoutMs: 60_000 });
      child.kill('SIGTERM');
      await until(() => output.stdout.includes('\nclosed'), { timeoutMs: 60_000, what: 'the endpoint to close' });
      expect(output.stdout).toContain('closed without copying its write-ahead log');
      expect(alive()).toBe(true);
      disk.release();
      expect(await closed).toEqual([0, null]);
      await calls;
    });
  },
);
