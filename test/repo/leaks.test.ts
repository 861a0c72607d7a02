import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startNode } from '../kit/child-process.ts';

const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');

/** The other files of this run show that a file passes which closes what it opened. */
test('a file that leaves something open fails, and names it', { timeout: 90_000 }, async () => {
  const { closed, output } = startNode([vitest, 'run', '--no-color'], {
    cwd: join(import.meta.dirname, 'leaking'),
  });
  const [code] = await closed;
  const said = output.stdout + output.stderr;
  const [, left = ''] = /left open after the last test: (.*)/.exec(said) ?? [];
  for (const kind of ['1 × TCPServerWrap', '2 × TCPSocketWrap', '1 × Timeout', '1 × ProcessWrap'])
    expect(left).toContain(kind);
  expect(said).toMatch(/server on .*127\.0\.0\.1/);
  expect(said).toMatch(/child process \d+: .*stdin\.resume/);
  expect(output.stdout.trimEnd().split('\n').at(-1)).toBe('1 passed, 1 failed, 0 skipped');
  expect(code).toBe(1);
});
