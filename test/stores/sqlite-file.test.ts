import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Libsql from 'libsql';
import { describe, expect, test } from 'vitest';
import { openFile } from '../../src/stores/sqlite/open-file.ts';
import { FORMAT } from '../../src/stores/sqlite/schema.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { sqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemRandom, systemTime } from '../../src/base/system.ts';
import { createLab } from '../kit/lab.ts';
import { allPages } from './contract/view.ts';
import { createLog } from '../kit/log.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { startOpening } from './instances.ts';
import { FENCE, newFolder, newPath, openView, recordOf } from './sqlite-views.ts';

const patience = { time: systemTime, random: systemRandom };

/** What `work` throws; undefined if it does not throw. */
async function failure(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The message of the error that opening the file throws. */
async function refusal(path: string): Promise<string> {
  const error = await failure(async () => openView(path));
  expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', status: 503, retryable: true });
  return (error as Error).message;
}

/** As another program would. */
const change = (path: string, sql: string): void => {
  const file = new Libsql(path);
  file.exec(sql);
  file.close();
};

describe('sqlite()', () => {
  test('refuses wrong options by their names', () => {
    expect(() => sqlite('')).toThrow(/Option sqlite\.path: got "", takes the path of a file/);
    expect(() => sqlite(':memory:')).toThrow(/in memory it is memory\(\)/);
    for (const url of ['sqlite://sessions.db', 'sqlite:./a.db', 'file:a.db'])
      expect(() => sqlite(url)).toThrow(
        /takes the path of a file, e\.g\. '\.\/sessions\.db', without a scheme/,
      );
    expect(() => sqlite({ path: 7 } as never)).toThrow(/Option sqlite\.path: got 7/);
    expect(() => sqlite({ path: 'a.db', synchronos: 'full' } as never)).toThrow(
      /did you mean sqlite\.synchronous\?/,
    );
    expect(() => sqlite({ path: 'a.db', synchronous: 'off' } as never)).toThrow(
      /one of 'normal', 'full'/,
    );
  });

  test.each([
    ['written by a newer build', `json_set(data, '$[0]', 99)`, /newer version of sojourn/],
    ['damaged', `'{'`, /JSON/],
    ['of another owner than a text', `json_set(data, '$[2]', json('true'))`, /is damaged/],
    ['without a version', `data, version = 0`, /is damaged/],
  ])(
    'sweeps and lists the rows beside those that are %s, and tells of these once',
    async (_, data, told) => {
      const path = newPath();
      const log = createLog();
      const { records } = await openView(path, { logger: log });
      for (const id of ['a', 'unread', 'z']) await records.create(recordOf(id), -1_000);
      for (const id of ['b', 'm', 'y']) await records.create(recordOf(id));
      change(path, `UPDATE rows SET data = ${data} WHERE id IN ('unread', 'm')`);
      for (const limit of [1, 2, 10])
        expect(await allPages((cursor) => records.list(limit, cursor))).toMatchObject([
          { id: 'b' },
          { id: 'y' },
        ]);
      expect(await records.list(10)).toMatchObject({ unreadable: ['m', 'unread'] });
      expect(await records.list(1)).not.toHaveProperty('unreadable');
      expect(await records.list(1, 'b')).toMatchObject({ unreadable: ['m', 'unread'] });
      for (const limit of [1, 3, 10]) {
        const due: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await records.due(limit, cursor);
          due.push(...page.records.map(({ id }) => id));
          cursor = page.nextCursor;
        } while (cursor !== undefined && due.length < 2);
        expect(due).toEqual(['a', 'z']);
      }
      for (const id of ['a', 'z']) await records.end(id, FENCE, 'idle');
      for (const limit of [1, 10]) expect(await records.due(limit)).toEqual({ records: [] });
      const lines = log.matching(/^A record in the store cannot be read/, 'error');
      expect(lines.map(({ fields }) => String(fields['err']))).toEqual([
        expect.stringMatching(told),
        expect.stringMatching(told),
      ]);
      await expect((async () => records.read('unread'))()).rejects.toThrow(told);
    },
  );

  test.each(['{', '7', 'null', '{"host":1}', '{"host":"a","pid":1,"startedAt":"x","runtime":"b"}'])(
    'lists an instance whose process is %s, beside the others',
    async (damage) => {
      const path = newPath();
      const view = await openView(path);
      const process = { host: 'h', pid: 1, startedAt: 1, runtime: 'r' };
      for (const id of ['a', 'b'])
        await view.instances.announce(
          { id, state: 'serving', version: '1', process },
          () => undefined,
        );
      change(
        path,
        `UPDATE rows SET data = json_set(data, '$[5].process', '${damage}') WHERE id = 'a'`,
      );
      const [a, b] = await view.instances.list();
      expect([a?.process, b?.process]).toEqual([undefined, process]);
    },
  );

  test('creates a file and a log that only its owner can read', async () => {
    const path = newPath();
    await openView(path);
    for (const file of [path, `${path}-wal`, `${path}-shm`])
      expect(statSync(file).mode & 0o777, file).toBe(0o600);
  });

  test('sets synchronous to normal or full', async () => {
    for (const [synchronous, level] of [
      ['normal', 1],
      ['full', 2],
    ] as const) {
      const file = await openFile({ path: newPath(), synchronous }, patience, createLog());
      expect(file.database.one('PRAGMA synchronous')).toEqual([level]);
      expect(file.database.one('PRAGMA journal_mode')).toEqual(['wal']);
      await file.close();
    }
  });

  test('stores earlier writes before it closes, and leaves everything in the file', async () => {
    const path = newPath();
    const view = await openView(path);
    const created = view.records.create(recordOf('s'));
    await view.close();
    expect(await created).toBe('created');
    await expect(view.records.create(recordOf('t'))).rejects.toThrow(/sessions\.db is closed/);
    expect(() => view.records.read('s')).toThrow(/sessions\.db is closed/);
    const alone = join(newFolder(), 'copy.db');
    cpSync(path, alone);
    expect(await (await openView(alone)).records.read('s')).toEqual(recordOf('s'));
  });
});

describe('the error of a file that cannot be opened has the reason and what to do', () => {
  test('in a directory that does not exist', async () => {
    const path = join(newFolder(), 'missing/sessions.db');
    expect(await refusal(path)).toContain(`${path} cannot be made; create its directory`);
  });

  const TEXT = 'a text that its author wants to keep\n'.repeat(100);
  const made = async (path: string): Promise<void> => {
    const view = await openView(path);
    for (let n = 0; n < 50; n++)
      await view.records.create(recordOf(`s${n}`, { fields: { a: `"${'x'.repeat(900)}"` } }));
    await view.close();
  };

  test.each<[what: string, make: (path: string) => unknown, message: RegExp]>([
    ['a directory', (path) => mkdirSync(path), /sessions\.db is not a file/],
    [
      'not a database',
      (path) => writeFileSync(path, TEXT),
      /sessions\.db: it is not a SQLite database, .* name another file/,
    ],
    [
      'damaged',
      async (path) => {
        await made(path);
        const file = openSync(path, 'r+');
        const { size } = statSync(path);
        for (let at = 4_096; at < size; at += 4_096)
          writeSync(file, Buffer.alloc(64, 0xff), 0, 64, at);
        closeSync(file);
      },
      /sessions\.db: it is damaged; .* put a backup in its place/,
    ],
    [
      'of another program',
      (path) =>
        change(path, 'CREATE TABLE migrations (no INTEGER); INSERT INTO migrations VALUES (1)'),
      /sessions\.db is a SQLite database of another program/,
    ],
    [
      'made by a newer version',
      async (path) => {
        await made(path);
        change(path, `PRAGMA user_version = ${FORMAT + 1}`);
      },
      new RegExp(
        `by a newer version of sojourn \\(format ${FORMAT + 1}, this one reads ${FORMAT}\\)`,
      ),
    ],
  ])('that is %s, and nothing is added to it', async (_, make, message) => {
    const path = newPath();
    await make(path);
    const { size } = statSync(path);
    expect(await refusal(path)).toMatch(message);
    expect(statSync(path).size).toBe(size);
    if (size === TEXT.length) expect(readFileSync(path, 'utf8')).toBe(TEXT);
  });

  test('that this process may not write, read or make', async () => {
    const folder = newFolder();
    const path = join(folder, 'sessions.db');
    await (await openView(path)).close();
    chmodSync(folder, 0o555);
    // Root ignores permissions.
    const unprivileged = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    for (const [file, mode, message] of [
      [path, 0o444, /sessions\.db: it (cannot be written|could not be opened).* permission/],
      [
        path,
        0o000,
        /sessions\.db: it could not be opened; this process needs permission for the file and to write in/,
      ],
      [
        `${path}.new`,
        undefined,
        /\.new cannot be made; .*let this process write there, or name another file \(EACCES: /,
      ],
    ] as const) {
      if (mode !== undefined) chmodSync(file, mode);
      const { closed, output } = startOpening([file], { ...unprivileged, cwd: '/' });
      await closed;
      expect(output.stdout).toMatch(new RegExp(`^STORE_UNAVAILABLE .*${message.source}`));
    }
    chmodSync(folder, 0o755);
  });
});

describe('a full disk', () => {
  test('refuses a write that does not fit, keeps everything else and works again once there is room', async () => {
    const path = newPath();
    const store = sqliteStore({ path, synchronous: 'normal', pragmas: ['max_page_count = 100'] });
    const view = await openView(store);
    const large = { fields: { large: JSON.stringify('x'.repeat(20_000)) } };
    const outcomes = new Map<string, unknown>();
    await view.records.create(recordOf('little'));
    for (let n = 0; n < 30; n++) {
      const id = `s${n}`;
      outcomes.set(id, await failure(async () => view.records.create(recordOf(id, large))));
    }
    const refused = [...outcomes].filter(([, outcome]) => outcome !== undefined);
    expect(refused.length).toBeGreaterThan(5);
    for (const [id, error] of refused) {
      expect((error as Error).message).toMatch(/sessions\.db: its disk is full; make room/);
      expect(await view.records.read(id)).toBeUndefined();
    }
    for (const [id, outcome] of outcomes) {
      if (outcome === undefined) expect(await view.records.read(id)).toEqual(recordOf(id, large));
    }
    expect((await view.records.list(1_000)).records.length).toBe(1 + 30 - refused.length);
    // Of the writes of one turn, those that fit are stored.
    const [big, small] = await Promise.allSettled([
      view.records.save('s0', FENCE, { fields: { more: JSON.stringify('x'.repeat(50_000)) } }),
      view.records.save('little', FENCE, { head: 'debug' }),
    ]);
    expect([big.status, small]).toEqual(['rejected', { status: 'fulfilled', value: 'written' }]);
    // The log was copied although it is small, and started afresh: overwriting it needs no room.
    expect(readFileSync(`${path}-wal`).readUInt32BE(12)).toBeGreaterThan(0);
    expect(await view.records.read('s0')).toEqual(recordOf('s0', large));
    for (const id of ['s0', 's1', 's2'])
      expect(await view.records.end(id, FENCE, 'deleted')).toBe('ended');
    expect(await view.records.create(recordOf('room', large))).toBe('created');
  });

  test('that takes small writes still counts as away, until a write of usual size fits again', async () => {
    const store = sqliteStore({
      path: newPath(),
      synchronous: 'normal',
      pragmas: ['max_page_count = 120'],
    });
    const { endpoint, client } = await serve(createLab().factory, {
      deployment: 'mcp',
      store,
      leaseMs: 600,
      maxWaitMs: 0,
    });
    const view = await openView(store);
    const first = client();
    await first.initialize();
    const large = { fields: { large: JSON.stringify('x'.repeat(20_000)) } };
    const filled: string[] = [];
    for (
      let n = 0;
      (await failure(async () => view.records.create(recordOf(`s${n}`, large)))) === undefined;
      n++
    )
      filled.push(`s${n}`);
    expect(view.full?.()).toBe(true);
    expect(endpoint.health().store).toBe('unavailable');
    // Leases are renewed, because they are small.
    const renewals = async (): Promise<number> => {
      const lease = await view.instances.read(endpoint.health().instance);
      return Number(lease?.stamp ?? 0);
    };
    const before = await renewals();
    await until(async () => (await renewals()) > before + 3);
    expect(endpoint.health()).toMatchObject({ state: 'serving', store: 'unavailable' });
    expect(await failure(async () => view.records.create(recordOf('more', large)))).toBeDefined();
    for (const id of filled) await view.records.end(id, FENCE, 'deleted');
    await until(() => endpoint.health().store === 'ok');
    expect(view.full?.()).toBe(false);
    await client().initialize();
  });
});
