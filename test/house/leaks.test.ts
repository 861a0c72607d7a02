import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');

/** The other files of this run show that a file passes which closes what it opened. */
test('a file that leaves something open fails, and names it', { timeout: 90_000 }, async () => {
  const child = spawn(process.execPath, [vitest, 'run', '--no-color'], {
    cwd: join(import.meta.dirname, 'leaking'),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((done) => child.once('close', done));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [, left = ''] = /left open after the last test: (.*)/.exec(stdout + stderr) ?? [];
  for (const kind of ['1 × TCPServerWrap', '2 × TCPSocketWrap', '1 × Timeout', '1 × ProcessWrap'])
    expect(left).toContain(kind);
  expect(stdout + stderr).toMatch(/server on .*127\.0\.0\.1/);
  expect(stdout + stderr).toMatch(/child process \d+: .*stdin\.resume/);
  expect(stdout.trimEnd().split('\n').at(-1)).toBe('1 passed, 1 failed, 0 skipped');
  expect(await exited).toBe(1);
});
