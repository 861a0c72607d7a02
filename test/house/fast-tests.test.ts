import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { slowTests, testFiles } from '../kit/fast-tests.ts';

/** Writes files into a new repository with a folder `src/session`. Returns the tests of its fast run. */
function fastOf(files: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'sojourn-fast-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, 'src/session'), { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const slow = new Set(slowTests(root));
  return testFiles(root)
    .filter((file) => !slow.has(file))
    .toSorted();
}

const PLAIN = "import { expect } from 'vitest';\n";

test('a new file in a folder with a name from src/ is fast, and a file in another folder is not', () => {
  const files = ['behaviour/new', 'chaos/new', 'new', 'session/deep/new', 'session/new'];
  const texts = Object.fromEntries(files.map((name) => [`test/${name}.test.ts`, PLAIN]));
  expect(fastOf(texts)).toEqual([
    'test/behaviour/new.test.ts',
    'test/new.test.ts',
    'test/session/deep/new.test.ts',
    'test/session/new.test.ts',
  ]);
});

test.each([
  ['starts a process', "import { spawn } from 'node:child_process';\n"],
  ['loads what starts processes later', "const { fork } = await import('node:cluster');\n"],
  ['starts a server', "import { startServer } from '../kit/servers/index.ts';\n"],
])('a file that %s is not fast, and neither is a file that imports it', (_, text) => {
  const fast = fastOf({
    'test/session/itself.test.ts': text,
    'test/session/helper.ts': text,
    'test/session/between.ts': "export { help } from './helper.ts';\n",
    'test/session/by-helper.test.ts': "import { help } from './between.ts';\n",
    'test/session/plain.test.ts': PLAIN,
  });
  expect(fast).toEqual(['test/session/plain.test.ts']);
});

test('files that import each other start a process when one of them does', () => {
  const fast = fastOf({
    'test/session/one.ts': "import './two.ts';\nimport { spawn } from 'node:child_process';\n",
    'test/session/two.ts': "import './one.ts';\n",
    'test/session/by-one.test.ts': "import './one.ts';\n",
    'test/session/by-two.test.ts': "import './two.ts';\n",
  });
  expect(fast).toEqual([]);
});

test('a file for every store is fast: the run offers it memory and SQLite', () => {
  const fast = fastOf({
    'test/kit/shared-stores.ts': "import { startServer } from './servers/index.ts';\n",
    'test/session/every-store.test.ts': "import { useSharedStores } from '../kit/shared-stores.ts';\n",
  });
  expect(fast).toEqual(['test/session/every-store.test.ts']);
});

test('the behaviours and the contract of the stores without a server are fast; crashes, chaos and servers are not', () => {
  const slow = new Set(slowTests());
  const behaviours = readdirSync(join(import.meta.dirname, '../behaviour')).filter((name) => name.endsWith('.test.ts'));
  const fast = behaviours.filter((name) => !slow.has(`test/behaviour/${name}`));
  // `cors` asks the command line, and `telemetry` processes with an SDK of OpenTelemetry.
  expect(behaviours.filter((name) => !fast.includes(name))).toEqual(['cors.test.ts', 'telemetry.test.ts']);
  for (const name of ['memory', 'sqlite']) expect(slow).not.toContain(`test/stores/${name}.test.ts`);
  for (const name of ['redis', 'postgres', 'sqlite-crash']) expect(slow).toContain(`test/stores/${name}.test.ts`);
  expect(slow).toContain('test/chaos/chaos.test.ts');
});
