/** What `sojourn serve` says of a module that does not load: the file and the line, and what to set. */
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { until } from '../kit/until.ts';
import { runProcess, startCli } from './cli-process.ts';

const MODULE = '{ "type": "module" }';
/** What `npm init -y` writes. */
const COMMON_JS = '{ "name": "mine", "version": "1.0.0", "type": "commonjs" }';

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sojourn-load-')));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

describe('a mistake in the syntax', () => {
  test.each([
    [
      'server.mjs',
      { 'server.mjs': '\nexport default () => {\n  call(1 2);\n};\n' },
      'server.mjs:3',
      '  call(1 2);\n       ^',
    ],
    [
      'server.mjs',
      { 'server.mjs': "import './tools.mjs';\nexport default () => {};\n", 'tools.mjs': 'const x = ;\n' },
      'tools.mjs:1',
      'const x = ;\n          ^',
    ],
    [
      'server.mjs',
      { 'server.mjs': "import { no } from './tools.mjs';\n", 'tools.mjs': 'export const yes = 1;\n' },
      'server.mjs:1',
      "import { no } from './tools.mjs';\n         ^^",
    ],
    ['server.cjs', { 'server.cjs': '\nmodule.exports = () => ;\n' }, 'server.cjs:2', 'module.exports = () => ;\n'],
    [
      'server.ts',
      { 'package.json': MODULE, 'server.ts': 'const y: = 3;\n' },
      'server.ts:1',
      'const y: = 3;\n         ^',
    ],
  ])('of %s in %j names its file and line, and shows the place', async (module, files, place, excerpt) => {
    const folder = folderOf(files);
    const { code, stdout, stderr } = await runProcess(['serve', module], { cwd: folder });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const [first = '', ...others] = stderr.split('\n');
    expect(first).toMatch(new RegExp(`^sojourn: cannot load ${module}: .+, in `));
    expect(first.endsWith(`, in ${folder}/${place}`)).toBe(true);
    expect(others.join('\n')).toContain(excerpt);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test('in a file that the module imports while it runs: the search for the place does not run it again', async () => {
    const folder = folderOf({
      'server.mjs':
        "import { appendFileSync } from 'node:fs';\nappendFileSync('runs', '1');\nawait import('./wrong.mjs');\n",
      'wrong.mjs': 'const x = ;\n',
    });
    const { code, stderr } = await runProcess(['serve', 'server.mjs'], { cwd: folder });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^sojourn: cannot load server\.mjs: Unexpected token ';'\n/);
    expect(readFileSync(join(folder, 'runs'), 'utf8')).toBe('1');
  });
});

describe('an ES module in a CommonJS package', () => {
  test.each([
    ['server.js', "import 'node:fs';\nexport default () => {};\n", 'server.mjs'],
    ['server.js', 'export default () => {};\n', 'server.mjs'],
    ['server.ts', 'await Promise.resolve();\nexport default () => {};\n', 'server.mts'],
  ])('%s, %j: the message says what to set', async (module, text, renamed) => {
    const folder = folderOf({ 'package.json': COMMON_JS, [module]: text });
    const { code, stderr } = await runProcess(['serve', module], { cwd: folder });
    expect(code).toBe(1);
    expect(stderr).toContain(
      `sojourn: cannot load ${module}: ${folder}/${module} is an ES module (import, export), and Node loads it as ` +
        `CommonJS: ${folder}/package.json has "type": "commonjs". Run \`npm pkg set type=module\` there, or rename it ` +
        `to ${renamed}\n`,
    );
    expect(stderr).not.toMatch(/^ +at /m);
  });
});

describe.each(['0', '1'])('a top-level await that never settles, with --workers %s', (workers) => {
  const serve = (text: string) =>
    startCli(['serve', 'server.mjs', '--port', '0', '--workers', workers], { cwd: folderOf({ 'server.mjs': text }) });

  test('and leaves nothing to wait for ends the command', async () => {
    expect(await serve('await new Promise(() => {});\n').ended()).toMatchObject({
      code: 1,
      stdout: '',
      stderr:
        'sojourn: cannot load server.mjs: a top-level await in it, or in a file that it imports, waits for something ' +
        'that never happens\n',
    });
  });

  test('although the module waits is named after 10 s', { timeout: 60_000 }, async () => {
    const cli = serve('setInterval(() => {}, 1_000);\nawait new Promise(() => {});\n');
    await until(() => cli.output.stderr.includes('\n'), { timeoutMs: 40_000, what: 'the line' });
    expect(JSON.parse(cli.output.stderr)).toMatchObject({
      level: 40,
      module: 'server.mjs',
      ms: 10_000,
      msg: 'server.mjs is not loaded yet: a top-level await in it, or in a file that it imports, has not settled; serve waits for it',
    });
    cli.kill('SIGTERM');
    await cli.ended();
  });
});

test('a top-level await that settles later than the event loop is empty of other work is waited for', async () => {
  const folder = folderOf({
    'server.mjs':
      'await new Promise((resolve) => setTimeout(resolve, 300));\n' +
      'export default () => ({ connect: async () => {}, close: async () => {} });\n',
  });
  await startCli(['serve', 'server.mjs', '--port', '0', '--workers', '1'], { cwd: folder }).url();
});
