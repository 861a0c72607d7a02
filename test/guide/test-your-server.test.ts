/** The programs of the page on tests, run by vitest in a folder. Each export of `sojourn/testing` is on one page. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import * as testing from '../../src/testing/index.ts';
import { blocksOf, nameOf } from '../kit/pages.ts';
import { projectFolder } from '../kit/project-folder.ts';

const PAGE = 'docs/guide/develop.md';
const root = resolve(import.meta.dirname, '../..');
test('the tests of the page pass', async () => {
  const [server, first, ...more] = blocksOf(PAGE, 'Test your server').filter(({ language }) => language === 'js');
  expect([server, first].map((block) => block && nameOf(block))).toEqual(['server.js', 'server.test.js']);
  expect(more).toHaveLength(3);
  const folder = projectFolder({
    'server.js': String(server?.text),
    'server.test.js': [first, ...more].map((block) => block?.text).join('\n'),
  });
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const report = join(folder, 'report.json');
  const args = [vitest, 'run', '--root', folder, '--reporter=default', '--reporter=json', `--outputFile=${report}`];
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST'));
  const ran = promisify(execFile)(process.execPath, args, { cwd: folder, env: Object.fromEntries(own) });
  const { stdout, stderr } = await ran.catch((error: { stdout: string; stderr: string }) => error);
  const { numPassedTests, numTotalTests } = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
  expect([numPassedTests, numTotalTests], stdout).toEqual([4, 4]);
  // No line of the endpoints' log is in the output.
  expect(stdout + stderr).not.toContain('sojourn: ');
});

test('the test with a lab passes under node:test', async () => {
  const server = blocksOf(PAGE, 'Test your server').find(({ text }) => text.startsWith('// server.js'));
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
    'lab.test.js': [...imports, lab?.text.replaceAll(expectations, 'assert.deepEqual($1, $2);')].join('\n'),
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
