/**
 * `npm run first-minutes [words for vitest]`: every path of `test/first-minutes/`: the words of the pages, followed in
 * empty folders with the packed tarball. `npm test` runs one path of each kind.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './steps.mjs';

const vitest = join(root, 'node_modules/vitest/vitest.mjs');
const args = [vitest, 'run', 'test/first-minutes', '--maxWorkers=1', ...process.argv.slice(2)];
const child = spawn(process.execPath, args, {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, SOJOURN_FIRST_MINUTES: 'all', SOJOURN_MATRIX: '1' },
});
child.on('close', (code) => (process.exitCode = code ?? 1));
