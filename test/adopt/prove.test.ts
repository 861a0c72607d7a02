// @module-tag matrix
/** `sojourn prove` on published programs: nothing is lost, found or left. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../kit/temporary.ts';
import { runProcess } from '../cli/cli-process.ts';
import { placeOf } from './app-folder.ts';
import { SERVERS } from './stages.ts';

const TIMEOUT_MS = 900_000;

async function expectNothing(command: readonly string[], ...flags: string[]): Promise<void> {
  const { code, stdout, stderr } = await runProcess(
    ['prove', '--seconds', '30', '--json', ...flags, '--', ...command],
    { cwd: temporaryFolder() },
  );
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toMatchObject({ isFine: true, twice: 0, found: [], processesLeft: 0 });
  expect(code).toBe(0);
}

test('server-everything', { timeout: TIMEOUT_MS }, async () => {
  const server = SERVERS.find(({ name }) => name === 'server-everything')!;
  const place = await placeOf(server);
  await expectNothing([join(place.app, 'node_modules/.bin/mcp-server-everything')]);
});

test('mcp-server-time', { timeout: TIMEOUT_MS }, async () => {
  const venv = join(temporaryFolder(), 'venv');
  await promisify(execFile)('python3', ['-m', 'venv', venv]);
  const time = ['install', '--quiet', '--no-compile', 'mcp-server-time==2026.10.19'];
  await promisify(execFile)(join(venv, 'bin/pip'), time);
  const call = 'get_current_time={"timezone":"UTC"}';
  await expectNothing([join(venv, 'bin/mcp-server-time')], '--call', call);
});
