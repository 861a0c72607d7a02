/**
 * `npm test`: the build, the tools and servers that tests run, then every test outside of the matrix, and the checks
 * beside them. All of it runs even when a part fails. The exit code is 0 only when nothing did, and the last line counts
 * the tests, each failed check as one failure.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.mjs';
import { check } from './check.mjs';
import { ensureClients } from './ensure-clients.mjs';
import { ensureRecipes } from './ensure-recipes.mjs';
import { ensureServers } from './ensure-servers.mjs';
import { lackOfTools } from './ensure-tools.mjs';
import { root } from './steps.mjs';

/** Elsewhere than under CI, the tests that need a folder whose packages cannot be had are skipped by name. */
async function installTools() {
  const failed = [];
  const folders = existsSync(join(root, 'tools')) ? readdirSync(join(root, 'tools')) : [];
  for (const name of folders.filter((folder) => existsSync(join(root, 'tools', folder, 'package-lock.json')))) {
    try {
      const lack = await lackOfTools(`tools/${name}`);
      if (lack !== undefined) console.log(`${lack}: their tests ${process.env.CI ? 'fail' : 'are skipped'}`);
      if (lack !== undefined && process.env.CI) failed.push(lack);
    } catch (error) {
      console.log(error.message);
      failed.push(`tools/${name}`);
    }
  }
  return failed;
}

/** Elsewhere than under CI, tests whose server is missing are skipped by name. */
async function installServers() {
  const missing = await ensureServers();
  return process.env.CI ? missing.map((name) => `${name} is not installed`) : [];
}

/** Elsewhere than under CI, the tests that need these programs are skipped by name. */
async function installRecipes() {
  const missing = await ensureRecipes();
  return process.env.CI ? missing : [];
}

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

/** What tests run. It is mostly downloads. */
async function installParts() {
  return [...(await installTools()), ...(await installServers()), ...(await ensureClients())];
}

// Tests and checks need the build. The checks run beside the tests.
const built = build({ ifStale: true });
const installed = [...(await installParts()), ...(await installRecipes()), ...(built ? [] : ['build'])];
const [count, checks] = await Promise.all([runTests(), check()]);
const failed = [...installed, ...checks];
if (failed.length > 0) console.log(`failed checks: ${failed.join('; ')}`);
console.log(`${count.passed} passed, ${count.failed + failed.length} failed, ${count.skipped} skipped`);
process.exitCode = count.failed + failed.length > 0 ? 1 : 0;
