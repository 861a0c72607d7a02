/** Kills processes during writes to one file and during copies of its log; afterwards the file is whole. */
import { fileURLToPath } from 'node:url';
import Libsql from 'libsql';
import { expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { crashesTimeout, killsOf, killWriters } from './crashes.ts';
import { newPath } from './sqlite-views.ts';

const KILLS = killsOf(20);

test(
  `${KILLS} kills in the middle of writes lose nothing that was acknowledged, and bring back nothing that has ended`,
  async () => {
    const target = newPath();
    const beside = fileURLToPath(new URL('processes/copy-log.mjs', import.meta.url));
    await killWriters({ kind: 'sqlite', target, store: sqlite, kills: KILLS, beside });
    const check = new Libsql(target).prepare('PRAGMA integrity_check').raw(true);
    expect(check.all([])).toEqual([['ok']]);
  },
  crashesTimeout(KILLS),
);
