/** Kills processes during writes to one file and during copies of its log; afterwards the file is whole. */
import { fileURLToPath } from 'node:url';
import Libsql from 'libsql';
import { expect, onTestFinished } from 'vitest';
import { crashTest } from './crashes.ts';
import { newPath } from './sqlite-views.ts';

crashTest(20, async () => {
  const target = newPath();
  onTestFinished(() => {
    const check = new Libsql(target).prepare('PRAGMA integrity_check').raw(true);
    expect(check.all([])).toEqual([['ok']]);
  });
  return { target, beside: fileURLToPath(new URL('processes/copy-log.mjs', import.meta.url)) };
});
