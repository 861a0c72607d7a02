/** Which files `sojourn dev` watches, and when an edit is over. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { SourceFiles } from '../../src/cli/source-files.ts';
import { until } from '../kit/until.ts';

function project() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sojourn-files-')));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const stopping = new AbortController();
  onTestFinished(() => stopping.abort());
  mkdirSync(join(folder, 'app'));
  const files = new SourceFiles(join(folder, 'app'), join(folder, 'sojourn'));
  const path = (name: string): string => join(folder, name);
  return {
    files,
    path,
    changed: () => files.changed(stopping.signal),
    stop: () => stopping.abort(),
    /** Writes a file whose last change is long ago. */
    old(name: string): string {
      writeFileSync(path(name), '');
      utimesSync(path(name), 1, 1);
      return path(name);
    },
  };
}

const LONG_AGO = 1_000_000;

test('what Node and tsx report is read, and nothing else', () => {
  const { files, old, path } = project();
  const url = pathToFileURL(old('app/a b.ts')).href;
  for (const message of [
    { 'watch:import': [`${url}?namespace=1`] },
    { 'watch:require': [null] },
    { 'watch:require': [old('app/c.cjs'), path('app/c.cjs.js')] },
    { 'watch:import': ['node:fs', 'data:text/javascript,', 'relative.js', 7, 'file:///%'] },
    { type: 'dependency', path: old('app/d.js') },
    {
      'watch:import': [
        pathToFileURL(path('app/node_modules/x/index.js')).href,
        pathToFileURL(path('sojourn/cli/main.js')).href,
      ],
    },
    'watch:import',
    undefined,
  ])
    files.report(message, 1, LONG_AGO);
  expect(files.count).toBe(2);
});

test('an edit of many files is one edit, which names three', async () => {
  const { files, old, changed } = project();
  const names = Array.from({ length: 9 }, (_, n) => old(`app/${n}.js`));
  files.report({ 'watch:require': names }, 1, LONG_AGO);
  const edit = changed();
  for (const name of names) writeFileSync(name, 'edited');
  expect(await edit).toBe('0.js, 1.js, 2.js and 6 more');
});

test('a file that is made, renamed or removed is an edit, and each comes once', async () => {
  const { files, old, path, changed, stop } = project();
  const [part, shared] = [old('app/part.js'), old('shared.js')];
  files.report({ 'watch:require': [part, shared, path('app/new.js')] }, 1, LONG_AGO);
  let edit = changed();
  rmSync(part);
  expect(await edit).toBe('part.js');
  edit = changed();
  old('app/new.js');
  expect(await edit).toBe('new.js');
  edit = changed();
  writeFileSync(shared, 'edited');
  expect(await edit).toBe('../shared.js');
  edit = changed();
  stop();
  expect(await edit).toBeUndefined();
});

test('a file that changed while its first build loaded is an edit, once', async () => {
  const { files, old, changed } = project();
  const [late, early] = [old('app/late.js'), old('app/early.js')];
  utimesSync(late, LONG_AGO / 1_000 + 1, LONG_AGO / 1_000 + 1);
  files.report({ 'watch:require': [late, early] }, 1, LONG_AGO);
  expect(await changed()).toBe('late.js');
  files.report({ 'watch:require': [late, early] }, 2, LONG_AGO);
  const edit = changed();
  writeFileSync(early, 'edited');
  expect(await edit).toBe('early.js');
});

test('files that the last good build did not load are forgotten; those of a broken build are not', async () => {
  const { files, old, changed } = project();
  const [kept, dropped, broken] = [old('app/kept.js'), old('app/dropped.js'), old('app/broken.js')];
  files.report({ 'watch:require': [kept, dropped] }, 1, LONG_AGO);
  files.report({ 'watch:require': [kept] }, 2, LONG_AGO);
  files.forgetBefore(2);
  files.report({ 'watch:require': [broken] }, 3, LONG_AGO);
  expect(files.count).toBe(2);
  const edit = changed();
  for (const name of [kept, dropped, broken, join(kept, '../.env')]) writeFileSync(name, 'edited');
  expect(await edit).toBe('.env, kept.js, broken.js');
});

test('a program that writes without end does not keep an edit from being seen', async () => {
  const { files, old, changed } = project();
  const path = old('app/busy.js');
  files.report({ 'watch:require': [path] }, 1, LONG_AGO);
  let writes = 0;
  let isSeen = false;
  const edit = changed().then((what) => ((isSeen = true), what));
  await until(() => (writeFileSync(path, String(++writes)), isSeen), { timeoutMs: 60_000, what: 'the edit' });
  expect(await edit).toBe('busy.js');
});
