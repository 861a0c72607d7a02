/**
 * Files that another user of the machine put where the SQLite store keeps its own, in a folder where every user may
 * create files. What counts is whether that user can read session ids, or write into the database.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { fileDanger } from '../../src/stores/sqlite/file-owners.ts';
import { createLog } from '../kit/log.ts';
import { openView, recordOf } from '../stores/sqlite-views.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const OPENER = fileURLToPath(new URL('processes/replaced-file.mjs', import.meta.url));
const run = promisify(execFile);

const OTHER = 61_001;
/** That a process runs as, other than root. */
const USER = 61_002;
/** An id as no other part of a database has it. */
const SECRET = 'session-id-that-only-its-client-knows';
const FILES = ['', '-wal', '-shm', '-journal'] as const;

const isRoot = process.geteuid?.() === 0;
/** Only root can give a file to another user. */
const asRoot = test.skipIf(!isRoot);
const posix = describe.skipIf(process.platform === 'win32');

/** A folder where every user may create files, as volumes of containers are. */
function openFolder(): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o777);
  return folder;
}

const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

/** Each puts something at `path`, and returns the file that the other user reads. */
const PLANTS: Readonly<Record<string, (path: string) => string>> = {
  'a file of another user': (path) => {
    writeFileSync(path, '', { mode: 0o666 });
    chmodSync(path, 0o666);
    chownSync(path, OTHER, OTHER);
    return path;
  },
  'a file of another user that only its owner reads': (path) => {
    writeFileSync(path, '', { mode: 0o600 });
    chownSync(path, OTHER, OTHER);
    return path;
  },
  'a link to a file of another user': (path) => {
    const target = join(openFolder(), 'target');
    writeFileSync(target, '');
    chownSync(target, OTHER, OTHER);
    symlinkSync(target, path);
    return target;
  },
  'a link to a file that does not exist': (path) => {
    const target = join(openFolder(), 'target');
    symlinkSync(target, path);
    return target;
  },
  'a link of another user to a file of ours': (path) => {
    const target = join(openFolder(), 'target');
    writeFileSync(target, '', { mode: 0o600 });
    symlinkSync(target, path);
    lchownSync(path, OTHER, OTHER);
    return target;
  },
};

posix('a file that another user planted is refused, and nothing is written into it', () => {
  const cases = Object.keys(PLANTS).flatMap((what) =>
    FILES.map((suffix) => [what, suffix] as const),
  );

  asRoot.each(cases)('%s as sessions.db%s (run as root)', async (what, suffix) => {
    const path = join(openFolder(), 'sessions.db');
    if (suffix !== '') await (await openView(path)).close();
    // libsql removes its files only when its objects are collected.
    rmSync(path + suffix, { force: true });
    const target = PLANTS[what]?.(path + suffix) ?? '';
    const before = existsSync(target) ? readFileSync(target) : undefined;
    let refusal: unknown;
    try {
      const view = await openView(path);
      await view.records.create(recordOf(SECRET));
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(String(refusal)).toContain(
      `${path}${suffix} is not used, because another user could read or change`,
    );
    expect(existsSync(target) ? readFileSync(target) : undefined).toEqual(before);
  });

  asRoot.each(['', '-wal', '-shm'])(
    'a file that takes the place of sessions.db%s while it is opened (run as root)',
    async (suffix) => {
      const folder = openFolder();
      const path = join(folder, 'sessions.db');
      // SQLite gives the files of root to the owner of the database, so the process is not root.
      const open = (...files: string[]) =>
        run(process.execPath, [OPENER, path, ...files], { uid: USER, gid: USER, cwd: '/' });
      expect((await open()).stdout).toBe('opened\n');
      const planted = join(folder, 'planted');
      PLANTS['a file of another user']?.(planted);
      const { stdout } = await open(path + suffix, planted);
      expect(stdout).toContain(
        `${path}${suffix} is not used, because another user could read or change`,
      );
    },
  );

  asRoot(
    'a database of root is used by another user, as a volume of a container has it (run as root)',
    () => {
      const path = join(openFolder(), 'sessions.db');
      writeFileSync(path, '', { mode: 0o660 });
      expect(fileDanger(path, OTHER)).toBeUndefined();
      expect(fileDanger(join(dirname(path), 'missing'), OTHER)).toBeUndefined();
    },
  );
});

posix('files of our own', () => {
  test('a link of ours to a file of ours is followed, and the files beside the target are checked', async () => {
    const [folder, path] = [openFolder(), join(openFolder(), 'link.db')];
    const target = join(folder, 'sessions.db');
    await (await openView(target)).close();
    symlinkSync(target, path);
    const view = await openView(path);
    await view.records.create(recordOf(SECRET));
    expect(existsSync(`${target}-wal`)).toBe(true);
    await view.close();
    rmSync(`${target}-wal`, { force: true });
    symlinkSync(join(folder, 'nowhere'), `${target}-wal`);
    await expect(openView(path)).rejects.toThrow(
      /sessions\.db-wal is not used, .* a link to a file that does not exist/,
    );
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });

  test.each([
    ['644', '640', 'the group keeps what it has'],
    ['604', '600', 'there is no group to keep'],
    ['660', '660', 'there is nothing to take'],
    ['640', '640', 'there is nothing to take'],
  ])('of mode %s have %s when they are open: %s', async (mode, expected) => {
    const path = join(openFolder(), 'sessions.db');
    await openView(path);
    const files = [path, `${path}-wal`, `${path}-shm`];
    for (const file of files) chmodSync(file, parseInt(mode, 8));
    const log = createLog();
    await openView(path, { logger: log });
    expect(files.map(modeOf)).toEqual(files.map(() => expected));
    expect(log.matching(/can read the sessions/, 'warn')).toEqual([]);
  });

  test('that every user can write are refused: what is in them may be of anyone', async () => {
    const path = join(openFolder(), 'sessions.db');
    await (await openView(path)).close();
    chmodSync(path, 0o602);
    await expect(openView(path)).rejects.toThrow(
      /every user of this machine can write it; run chmod 600/,
    );
  });

  test('a file that is no store of sojourn keeps its mode', async () => {
    const path = join(openFolder(), 'notes.txt');
    writeFileSync(path, 'a text that its author wants others to read\n'.repeat(100), {
      mode: 0o644,
    });
    chmodSync(path, 0o644);
    await expect(openView(path)).rejects.toThrow(/not a SQLite database/);
    expect(modeOf(path)).toBe('644');
  });
});

posix(
  'a folder in which others can replace files is one warning, because volumes of containers are such',
  () => {
    const warnings = async (folder: string): Promise<number> => {
      const log = createLog();
      const view = await openView(join(folder, 'sessions.db'), { logger: log });
      await view.records.create(recordOf('s'));
      return log.matching(
        /Other users can replace .* keep the file in a folder of this process alone/,
        'warn',
      ).length;
    };

    test.each([
      ['777', 1],
      ['1777', 0],
      ['755', 0],
      ['700', 0],
    ])('of mode %s: %i', async (mode, expected) => {
      const folder = openFolder();
      chmodSync(folder, parseInt(mode, 8));
      expect(await warnings(folder)).toBe(expected);
    });

    asRoot.each([
      ['a group that others may be in', 0, OTHER, 0o770, 1],
      ['such a group, and the sticky bit', 0, OTHER, 0o1770, 0],
      ['a group of the number of this user', 0, 0, 0o770, 0],
      ['another user', OTHER, OTHER, 0o755, 1],
    ])('of %s (run as root)', async (_what, uid, gid, mode, expected) => {
      const folder = openFolder();
      chownSync(folder, uid, gid);
      chmodSync(folder, mode);
      expect(await warnings(folder)).toBe(expected);
    });
  },
);
