/**
 * `npm test`: the build, the checks, the tools and servers that tests run, then every test. All of it runs even when a part
 * fails; the exit code is 0 only when nothing did, and the last line counts the tests, each failed check as one failure.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { check } from './check.mjs';
import { ensureClients } from './ensure-clients.mjs';
import { ensureRecipes } from './ensure-recipes.mjs';
import { ensureServers } from './ensure-servers.mjs';
import { lackOfTools } from './ensure-tools.mjs';
import { root } from './steps.mjs';

/** What only benchmarks run. */
const UNTESTED = ['others'];

/** Elsewhere than under CI, the tests that need a folder whose packages cannot be had are skipped by name. */
async function installTools() {
  const failed = [];
  const folders = existsSync(join(root, 'tools')) ? readdirSync(join(root, 'tools')) : [];
  const tested = folders.filter((folder) => !UNTESTED.includes(folder));
  for (const name of tested.filter((folder) => existsSync(join(root, 'tools', folder, 'package-lock.json')))) {
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

function runTests(failedChecks) {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  return new Promise((done) => {
    const child = spawn(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, SOJOURN_FAILED_CHECKS: failedChecks.join('; ') },
    });
    child.on('close', (code) => done(code ?? 1));
  });
}

/** What tests run. It is mostly downloads. */
async function installParts() {
  return [...(await installTools()), ...(await installServers()), ...(await ensureClients())];
}

const [checks, ...parts] = await Promise.all([check(), installRecipes(), installParts()]);
const failed = [...checks, ...parts.flat()];
const code = await runTests(failed);
process.exitCode = failed.length > 0 ? 1 : code;
