/**
 * `npm test`: the build, the tools and servers that tests run, then every test outside of the matrix, and the checks
 * beside them. All of it runs even when a part fails. The exit code is 0 only when nothing did, and the last line
 * counts the tests, each failed check as one failure.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.mjs';
import { check } from './check.mjs';
import { install } from './servers.mjs';
import { root } from './steps.mjs';

/** Resolves with how many tests passed, failed and were skipped. */
function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-totals-'));
  const totals = join(folder, 'totals.json');
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  return new Promise((done) => {
    const child = spawn(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, SOJOURN_TOTALS: totals },
    });
    child.on('close', (code) => {
      const count = existsSync(totals)
        ? JSON.parse(readFileSync(totals, 'utf8'))
        : { passed: 0, failed: 1, skipped: 0 };
      rmSync(folder, { recursive: true });
      // An error outside of the tests, such as a process that a worker left behind.
      if (code !== 0 && count.failed === 0) count.failed = 1;
      done(count);
    });
  });
}

const built = build({ ifStale: true });
const missing = await install();
const [count, checks] = await Promise.all([runTests(), check()]);
const failed = [...(process.env.CI ? missing : []), ...(built ? [] : ['build']), ...checks];
if (failed.length > 0) console.log(`failed checks: ${failed.join('; ')}`);
console.log(`${count.passed} passed, ${count.failed + failed.length} failed, ${count.skipped} skipped`);
process.exitCode = count.failed + failed.length > 0 ? 1 : 0;
