/** Kills in the middle of writes on one file, and of copies of its log into it; the file is whole afterwards. */
import Libsql from 'libsql';
import { expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { crashesTimeout, killsOf, killWriters } from './crashes.ts';
import { newPath, storeOptions } from './sqlite-views.ts';

const KILLS = killsOf(50);

test(
  `${KILLS} kills in the middle of writes lose nothing that was acknowledged, and bring back nothing that has ended`,
  async () => {
    const target = newPath();
    await killWriters({
      kind: 'sqlite',
      target,
      store: sqlite,
      options: storeOptions(),
      kills: KILLS,
      copies: true,
      countsAtOnce: true,
    });
    const check = new Libsql(target).prepare('PRAGMA integrity_check').raw(true);
    expect(check.all([])).toEqual([['ok']]);
  },
  crashesTimeout(KILLS),
);
