/** What `npm test` does where npm's registry is not reached, or lacks a package of a folder of `tools/`. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const script = new URL('../../scripts/ensure-tools.mjs', import.meta.url).href;

/** Asks for the packages of a new folder, twice in one process. */
function lackOf(files: Record<string, string>): { said: string; failed: boolean } {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-tools-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'cache'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const code = `const { lackOfTools } = await import(${JSON.stringify(script)});
    const ask = () => lackOfTools(${JSON.stringify(folder)});
    console.log(await ask());
    console.log(await ask());`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
    env: {
      ...process.env,
      npm_config_registry: 'http://127.0.0.1:9/',
      npm_config_fetch_retries: '0',
      npm_config_cache: join(folder, 'cache'),
    },
    encoding: 'utf8',
  });
  return { said: stdout.replaceAll(folder, 'tools/x'), failed: status !== 0 };
}

const manifest = JSON.stringify({ name: 'x', private: true, dependencies: { 'is-number': '7.0.0' } });
const lock = JSON.stringify({
  name: 'x',
  lockfileVersion: 3,
  requires: true,
  packages: {
    '': { name: 'x', dependencies: { 'is-number': '7.0.0' } },
    'node_modules/is-number': { version: '7.0.0', resolved: 'http://127.0.0.1:9/is-number/-/is-number-7.0.0.tgz' },
  },
});

test('packages that cannot be downloaded are a reason to skip, and are asked for once', { timeout: 60_000 }, () => {
  const { said, failed } = lackOf({ 'package.json': manifest, 'package-lock.json': lock });
  const lack = 'the packages of tools/x cannot be downloaded here';
  expect(said.split('\n').filter((line) => line === lack)).toHaveLength(2);
  expect(said.match(/npm ci in tools\/x failed/g)).toHaveLength(1);
  expect(failed).toBe(false);
});

test('a manifest that npm refuses is a failure', { timeout: 60_000 }, () => {
  expect(lackOf({ 'package.json': 'no JSON', 'package-lock.json': lock }).failed).toBe(true);
});
