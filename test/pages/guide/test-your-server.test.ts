/** The page on tests, under node:test; `test/pages/first-minutes/test-your-server.test.ts` runs it with vitest. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import * as testing from '../../../src/testing/index.ts';
import { blocksOf } from '../../kit/pages.ts';
import { projectFolder } from '../../kit/project-folder.ts';

const PAGE = 'docs/guide/develop.md';
const root = resolve(import.meta.dirname, '../../..');

test('the test with a lab passes under node:test', async () => {
  const server = blocksOf(PAGE, 'Test your server').find(({ text }) =>
    text.startsWith('// server.js'),
  );
  const [lab] = blocksOf(PAGE, 'Kill an instance');
  const expectations = /expect\((.*)\)\.to(?:Be|Equal)\((.*)\);/g;
  expect(lab?.text.match(expectations)).toHaveLength(2);
  const imports = [
    `import assert from 'node:assert/strict';`,
    `import { test } from 'node:test';`,
    `import { makeServer } from './server.js';`,
  ];
  const folder = projectFolder({
    'server.js': String(server?.text),
    'lab.test.js': [
      ...imports,
      lab?.text.replaceAll(expectations, 'assert.deepEqual($1, $2);'),
    ].join('\n'),
  });
  const args = ['--test', '--test-reporter=tap', join(folder, 'lab.test.js')];
  const ran = promisify(execFile)(process.execPath, args, { cwd: folder });
  const { stdout } = await ran.catch((error: { stdout: string }) => error);
  expect(stdout).toMatch(/^# pass 1$/m);
  expect(stdout).toMatch(/^# fail 0$/m);
});

test('each function of sojourn/testing is on the page', () => {
  const page = readFileSync(join(root, PAGE), 'utf8');
  expect(Object.keys(testing).sort()).toEqual(['createFakeTime', 'openLab', 'until']);
  expect(Object.keys(testing).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});
