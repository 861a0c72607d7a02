import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Libsql from 'libsql';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { WriteOutcome } from '../../src/stores/store.ts';
import { BUSY_LIMIT_MS } from '../../src/stores/sqlite/retry.ts';
import { openFile } from '../../src/stores/sqlite/open-file.ts';
import { afterTurn, systemRandom, systemTime } from '../../src/base/system.ts';
import { sqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { LOG_BYTES, MOST_BYTES } from '../../src/stores/sqlite/write-ahead-log.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { startNode } from '../kit/child-process.ts';
import { createLog } from '../kit/log.ts';
import { smallDisk } from '../kit/small-disk.ts';
import { until } from '../kit/until.ts';
import { storeOptions } from './views.ts';
import { append, changeUser, FENCE, newPath, openView, recordOf } from './sqlite-views.ts';

const WRITER = fileURLToPath(new URL('processes/writes.ts', import.meta.url));

const turn = (): Promise<void> => new Promise((next) => afterTurn(next));

/** Another process that writes until it is released. */
function lock(path: string): { release(): void } {
  const other = new Libsql(path);
  other.exec('BEGIN IMMEDIATE');
  return {
    release: () => {
      other.exec('ROLLBACK');
      other.close();
    },
  };
}

/** Counts the transactions that other connections see: `data_version` changes with each. */
function transactions(path: string): () => number {
  const other = new Libsql(path);
  const version = other.prepare('PRAGMA data_version').raw(true);
  const first = (version.get([]) as [number])[0];
  return () => (version.get([]) as [number])[0] - first;
}

describe('writes', () => {
  test('of one turn are one transaction, and each resolves when it is stored', async () => {
    const path = newPath();
    const view = await openView(path);
    await view.records.create(recordOf('s'));
    const count = transactions(path);
    const answers: string[] = [];
    const writes = Array.from({ length: 20 }, async (_, n) => {
      answers.push(`${n} ${await append(view, 'p', n, [`${n}`])}`);
    });
    expect(answers).toEqual([]);
    await Promise.all(writes);
    expect(answers).toEqual(Array.from({ length: 20 }, (_, n) => `${n} written`));
    expect(count()).toBe(1);
  });
});

test.skipIf(process.platform !== 'linux')(
  'an append reads none of the long entries beside it',
  async () => {
    const bytes = 1_000_000;
    const view = await openView(newPath(), {
      log: { maxAgeMs: 60_000, events: 1_000, bytes: 100 * bytes },
    });
    await view.records.create(recordOf('s'));
    for (let n = 0; n < 16; n++) await append(view, 'long', n, ['x'.repeat(bytes)]);
    const readBytes = (): number =>
      Number(/^rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
    const before = readBytes();
    for (let n = 0; n < 100; n++) await append(view, 'short', n, ['x']);
    // Each read two of them and more when entries were keys of their table.
    expect(readBytes() - before).toBeLessThan(100 * bytes);
  },
);

describe('while another process writes', () => {
  test('a write waits, and the event loop does not', async () => {
    const path = newPath();
    const view = await openView(path);
    const { release } = lock(path);
    let done = false;
    const write = Promise.resolve(view.records.create(recordOf('s'))).finally(() => (done = true));
    let turns = 0;
    for (const started = performance.now(); performance.now() - started < 150; turns++)
      await turn();
    expect(done).toBe(false);
    release();
    expect(await write).toBe('created');
    // With SQLite's own waiting of 50 ms at a time there would be three turns.
    expect(turns).toBeGreaterThan(30);
  });

  test('its writes are read at once, also by a connection that waits to write', async () => {
    const path = newPath();
    const view = await openView(path);
    await view.records.create(recordOf('s'));
    const other = new Libsql(path);
    other.exec('BEGIN IMMEDIATE');
    const waiting = view.records.save('s', FENCE, { head: 'debug' });
    for (let n = 0; n < 3; n++) await turn();
    changeUser(other, 's', 'ada');
    other.exec('COMMIT');
    expect(view.records.read('s')).toEqual(recordOf('s', { user: 'ada' }));
    // A refused statement that is not reset would keep the old state of the file.
    changeUser(other, 's', 'eve');
    expect(view.records.read('s')).toEqual(recordOf('s', { user: 'eve' }));
    expect(await waiting).toBe('written');
    expect(view.records.read('s')).toEqual(recordOf('s', { user: 'eve', head: 'debug' }));
  });

  test('a write that has waited for long is stored soon after its end', async () => {
    const path = newPath();
    const time = createFakeTime();
    const view = await openView(path, { time });
    const { release } = lock(path);
    let done = false;
    const write = Promise.resolve(view.records.create(recordOf('s'))).finally(() => (done = true));
    await until(() => time.pendingTimers > 0);
    for (let ms = 0; ms < 500; ms++) await time.advance(1);
    release();
    for (let ms = 0; ms < 4; ms++) await time.advance(1);
    expect(done).toBe(true);
    expect(await write).toBe('created');
  });

  test('for too long, writes fail with store_unavailable, and later ones succeed', async () => {
    const path = newPath();
    const time = createFakeTime();
    const view = await openView(path, { time });
    const { release } = lock(path);
    const refused = Array.from({ length: 3 }, async (_, n) =>
      view.records.create(recordOf(`s${n}`)),
    );
    const told = Promise.allSettled(refused);
    await until(() => time.pendingTimers > 0);
    await time.advance(BUSY_LIMIT_MS / 2);
    const patient = view.records.create(recordOf('patient'));
    await time.advance(BUSY_LIMIT_MS / 2 + 100);
    for (const outcome of await told) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'STORE_UNAVAILABLE', retryable: true },
      });
      expect(String((outcome as PromiseRejectedResult).reason)).toMatch(
        /sessions\.db has been locked .* for 2000 ms/,
      );
    }
    release();
    const advancing = setInterval(() => void time.advance(100), 5);
    expect(await patient).toBe('created');
    clearInterval(advancing);
    expect(await view.records.read('s0')).toBeUndefined();
  });
});

describe('the write-ahead log', () => {
  test('is copied into the file when it is full, and stays as large', async () => {
    const path = newPath();
    const view = await openView(path);
    await view.records.create(recordOf('s'));
    const log = (): number => statSync(`${path}-wal`).size;
    let largest = 0;
    let from = 0;
    const text = JSON.stringify('x'.repeat(8_000));
    for (; from < 4_000;) {
      const appends = Array.from({ length: 8 }, async () => append(view, 'g', from++, [text]));
      expect(new Set(await Promise.all(appends))).toEqual(new Set(['written']));
      largest = Math.max(largest, log());
    }
    expect(largest).toBeGreaterThanOrEqual(LOG_BYTES);
    expect(largest).toBeLessThan(MOST_BYTES);
    const outcome = await view.records.replay('s', 'g', from - 2);
    expect(outcome).toMatchObject({
      found: true,
      next: from,
      events: [{ offset: from - 1, data: text }],
    });
  });

  test('keeps nothing that was deleted: a file under constant writes stays as large as its kept data', async () => {
    const path = newPath();
    const retention = { maxAgeMs: 600_000, events: 100, bytes: 100_000 };
    const view = await openView(path, { log: retention });
    await view.records.create(recordOf('s'));
    const text = JSON.stringify('x'.repeat(1_000));
    for (let n = 0; n < 6_000; n += 100) {
      const calls = Array.from({ length: 100 }, async (_, i) =>
        append(view, `p${n + i}`, 0, [text], { complete: true }),
      );
      await Promise.all(calls);
    }
    await view.close();
    expect(statSync(path).size).toBeLessThan(10 * retention.bytes);
  });

  test('grows while another program reads, one line says so, and it is short again after that', async () => {
    const [path, logger] = [newPath(), createLog()];
    const view = await openView(path, { logger });
    await view.records.create(recordOf('s'));
    const reader = new Libsql(path);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM rows').get([]);
    const text = JSON.stringify('x'.repeat(400_000));
    let from = 0;
    const grow = async (times: number): Promise<void> => {
      for (let n = 0; n < times; n++)
        expect(await append(view, 'g', from++, [text])).toBe('written');
    };
    const told = (): number => logger.matching(/-wal has \d+ MiB and grows/, 'warn').length;
    for (let n = 0; n < 20 && told() === 0; n++) await grow(32);
    await grow(32);
    expect(told()).toBe(1);
    reader.exec('COMMIT');
    reader.close();
    await grow(2);
    expect(statSync(`${path}-wal`).size).toBeLessThan(MOST_BYTES);
    expect(told()).toBe(1);
  });

  test('is copied no more often while another program refuses it, until it is large', async () => {
    const path = newPath();
    const file = await openFile(
      { path, synchronous: 'normal' },
      { time: systemTime, random: systemRandom },
      createLog(),
    );
    onTestFinished(() => file.close());
    const { database } = file;
    expect(database.one('PRAGMA wal_autocheckpoint')).toEqual([0]);
    const execute = database.execute.bind(database);
    let copies = 0;
    database.execute = (sql) => {
      if (sql.startsWith('PRAGMA wal_checkpoint')) copies += 1;
      execute(sql);
    };
    const write = async (): Promise<number> => {
      await file.write(() => database.run('INSERT INTO written VALUES (?)', ['x'.repeat(50_000)]));
      return statSync(`${path}-wal`).size;
    };
    await file.write(() => execute('CREATE TABLE written (data TEXT)'));
    const reader = new Libsql(path);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM written').get([]);
    while ((await write()) <= LOG_BYTES) expect(copies).toBe(0);
    let commits = 1;
    while ((await write()) <= MOST_BYTES) commits += 1;
    expect(commits).toBeGreaterThan(60);
    expect(copies).toBeGreaterThan(4);
    expect(copies).toBeLessThan(10);
    for (let n = 0; n < 5; n++) await write();
    expect(copies).toBeGreaterThanOrEqual(10);
    reader.exec('COMMIT');
    reader.close();
    await write();
    await write();
    expect(statSync(`${path}-wal`).size).toBe(LOG_BYTES);
  });

  test('and the pages in it count in what a small disk has room for', async ({ skip }) => {
    const bytes = 32 * 1_048_576;
    const folder = smallDisk(bytes) ?? skip('may mount no disk');
    const store = sqliteStore({ path: join(folder, 'sessions.db'), synchronous: 'normal' });
    const [view, open] = [
      await openView(store),
      await store.open({ ...storeOptions(), kinds: [] }),
    ];
    onTestFinished(() => open.close());
    const large = { fields: { large: JSON.stringify('x'.repeat(2_000_000)) } };
    expect(await view.records.create(recordOf('s', large))).toBe('created');
    const { used = 0, size = 0 } = (await open.room?.()) ?? {};
    expect(used).toBeGreaterThan(2_000_000);
    // The log and its index take the rest.
    expect(size).toBeLessThanOrEqual(bytes - MOST_BYTES);
    expect(size).toBeGreaterThan(bytes - MOST_BYTES - 1_000_000);
  });

  test(
    'of several processes that write without a pause stays bounded',
    { timeout: 60_000 },
    async () => {
      const path = newPath();
      await openView(path);
      let largest = 0;
      const look = setInterval(
        () => (largest = Math.max(largest, statSync(`${path}-wal`).size)),
        20,
      );
      const writers = Array.from({ length: 2 }, () =>
        startNode(['--import', 'tsx', WRITER, path, '2000']),
      );
      expect(await Promise.all(writers.map(async ({ closed }) => closed))).toEqual([
        [0, null],
        [0, null],
      ]);
      clearInterval(look);
      // With SQLite's automatic copies it had 36 MB.
      expect(largest).toBeLessThan(24_000_000);
    },
  );
});

test('old events that an owner left are deleted by the sweep of another process', async () => {
  const [path, time] = [newPath(), createFakeTime()];
  const log = { maxAgeMs: 1_000, events: 1_000, bytes: 1_000_000 };
  const owner = await openView(path, { time, log });
  for (const id of ['crashed', 'released']) {
    await owner.records.create(recordOf(id), 1_000_000);
    await append(owner, 'open', 0, ['1', '2'], {
      id,
      note: '[1]',
      mark: { name: '7', stream: 'open' },
    });
    await append(owner, 'whole', 0, ['1', '2'], { id, complete: true });
  }
  await owner.records.save('released', FENCE, { release: true });
  await owner.close();
  const other = await openView(path, { time, log });
  const events = new Libsql(path).prepare("SELECT count(*) FROM log WHERE data <> ''").raw(true);
  await time.advance(999);
  expect(await other.records.due(10)).toEqual({ records: [] });
  expect(events.get([])).toEqual([4]);
  await time.advance(2);
  expect(await other.records.due(10)).toEqual({ records: [] });
  expect(events.get([])).toEqual([0]);
  const known = {
    marks: [{ name: '7', stream: 'open' }],
    streams: [{ stream: 'open', next: 2, note: '[1]' }],
  };
  expect(await other.records.claim('crashed', FENCE, 'other')).toMatchObject({
    claimed: true,
    ...known,
  });
  expect(await other.records.claim('released', { epoch: 1, owner: null }, 'other')).toMatchObject({
    ...known,
  });
});

test('the sweep of another process takes nothing from an owner that is alive and writes', async () => {
  const [path, time] = [newPath(), createFakeTime()];
  const log = { maxAgeMs: 1_000, events: 1_000, bytes: 1_000_000 };
  const [owner, other] = [await openView(path, { time, log }), await openView(path, { time, log })];
  await owner.records.create(recordOf('s'), 1_000_000);
  let from = 0;
  const next = async (): Promise<WriteOutcome> => append(owner, 'open', from++, [`${from}`]);
  await next();
  await time.advance(1_001);
  const outcomes = [next(), next()];
  const swept = other.records.due(10);
  for (let n = 0; n < 40; n++) {
    outcomes.push(next(), next());
    await turn();
  }
  await swept;
  expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['written']));
  expect(await other.records.replay('s', 'open', 0)).toMatchObject({ found: true, next: from });
  expect(await owner.records.save('s', FENCE, { head: 'debug' })).toBe('written');
});
