/** What `sojourn serve` says of a module that does not load: the file and the line, and what to set. */
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { until } from '../kit/until.ts';
import { runProcess, startCli } from './cli-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const MODULE = '{ "type": "module" }';
/** What `npm init -y` writes. */
const COMMON_JS = '{ "name": "mine", "version": "1.0.0", "type": "commonjs" }';

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = realpathSync(temporaryFolder());
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

test.each([
  [
    'server.mjs',
    {
      'server.mjs': "import './tools.mjs';\nexport default () => {};\n",
      'tools.mjs': 'const x = ;\n',
    },
    'tools.mjs:1',
    'const x = ;',
  ],
  ['server.ts', { 'package.json': MODULE, 'server.ts': 'const y: = 3;\n' }, 'server.ts:1', 'Error'],
])(
  'a mistake in the syntax of %s in %j is said as Node says it, with its file and line',
  async (module, files, place, excerpt) => {
    const folder = folderOf(files);
    const { code, stdout, stderr } = await runProcess(['serve', module], { cwd: folder });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.startsWith(`sojourn: cannot load ${module}:\n`)).toBe(true);
    expect(stderr).toContain(`${folder}/${place}`);
    expect(stderr).toContain(excerpt);
  },
);

test.each(['serve', 'check'])(
  '%s: the stack of what a module throws ends in Node',
  async (command) => {
    const cwd = folderOf({
      'server.mjs': "import './tools.mjs';\n",
      'tools.mjs': "throw new Error('no key');\n",
    });
    const { code, stderr } = await runProcess([command, 'server.mjs'], { cwd });
    const places = stderr.match(/^ {4}at .*/gm) ?? [];
    expect([code, places[0]]).toEqual([1, expect.stringContaining(`${cwd}/tools.mjs:1:7`)]);
    expect(places.slice(1).filter((place) => !place.includes('node:internal/'))).toEqual([]);
  },
);

test('a module that fails to load ends the command, also where it listens for uncaught exceptions', async () => {
  const cwd = folderOf({
    'server.mjs':
      "process.on('uncaughtException', () => {});\nsetInterval(() => {}, 1_000);\nJSON.parse('{');\n",
  });
  const { code, stderr } = await runProcess(['serve', 'server.mjs'], { cwd });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^sojourn: cannot load server\.mjs:\n[^]*SyntaxError: Expected property name/,
  );
});

const SET = /Warning: .* set "type": "module" in the /;
const stripsTypes = (process.features as { typescript?: unknown }).typescript;

test.each([
  ['server.js', "import 'node:fs';\nexport default () => {};\n", SET],
  // tsx says what it cannot do.
  [
    'server.ts',
    'await Promise.resolve();\nexport default () => {};\n',
    stripsTypes ? SET : /"cjs" output format/,
  ],
])('%s, %j in a CommonJS package: Node says what to set', async (module, text, says) => {
  const folder = folderOf({ 'package.json': COMMON_JS, [module]: text });
  const { code, stderr } = await runProcess(['serve', module], { cwd: folder });
  expect(code).toBe(1);
  expect(stderr).toContain(`sojourn: cannot load ${module}:\n`);
  expect(stderr).toMatch(says);
});

test.each([
  ['nowhere.js', /^sojourn: module not found: nowhere\.js \(looked for \/.*\/nowhere\.js\)\n$/],
  [
    'folder',
    /^sojourn: folder is a folder: name the file that exports the server, e\.g\. folder\/server\.js\n$/,
  ],
])('%s, which is no file, is refused', async (module, message) => {
  const cwd = folderOf({});
  mkdirSync(join(cwd, 'folder'));
  const { code, stderr } = await runProcess(['serve', module], { cwd });
  expect([code, stderr]).toEqual([1, expect.stringMatching(message)]);
});

const NEVER =
  'sojourn: cannot load server.mjs: it, or a file that it imports, ended the process, or waits in a top-level await ' +
  'for something that never happens\n';

test.each(['serve', 'check'])(
  '%s of a module that ends the process with code 0 fails',
  async (command) => {
    const cwd = folderOf({ 'server.mjs': 'process.exit(0);\n' });
    const { code, stderr } = await runProcess([command, 'server.mjs'], { cwd });
    expect([code, stderr]).toEqual([1, NEVER]);
  },
);

describe('a top-level await that never settles, with and without workers', () => {
  const serveBoth = (text: string, env = {}) =>
    ['0', '1'].map((workers) =>
      startCli(['serve', 'server.mjs', '--port', '0', '--workers', workers], {
        cwd: folderOf({ 'server.mjs': text }),
        env,
      }),
    );

  test('and leaves nothing to wait for ends the command', async () => {
    for (const cli of serveBoth('await new Promise(() => {});\n'))
      expect(await cli.ended()).toMatchObject({
        code: 1,
        stdout: '',
        stderr: NEVER,
      });
  });

  test('although the module waits is named after 10 s', async () => {
    const soon =
      'const own = setTimeout; globalThis.setTimeout = (fn, ms) => own(fn, ms === 10_000 ? 100 : ms);';
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(soon)}` };
    for (const cli of serveBoth(
      'setInterval(() => {}, 1_000);\nawait new Promise(() => {});\n',
      env,
    )) {
      await until(() => cli.output.stderr.includes('\n'), { what: 'the line' });
      expect(JSON.parse(cli.output.stderr)).toMatchObject({
        level: 40,
        module: 'server.mjs',
        ms: 10_000,
        msg: 'server.mjs is not loaded yet: a top-level await in it, or in a file that it imports, has not settled; serve waits for it',
      });
      cli.kill('SIGTERM');
      await cli.ended();
    }
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
