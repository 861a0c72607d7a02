/**
 * The app of an author: an empty folder in `tools/adopt/`, the packages of a list in pinned versions, and the packed
 * tarball of this build, installed with npm as a user installs them. `--before` pins what the packages depend on.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
// @ts-expect-error a script without declarations
import { root, run, runOrReject } from '../../scripts/steps.mjs';

/** No package that is younger is installed. Renew it with the versions of the list. */
export const PUBLISHED_BEFORE = '2026-11-24';

export const apps = join(root, 'tools/adopt');

/** Settings that npm hands to the scripts of the root are not meant for another project. */
const ownSettings = Object.keys(process.env).filter((name) => /^npm_(package|lifecycle|config_local)/.test(name));
export const cleanEnv = Object.fromEntries(ownSettings.map((name) => [name, undefined]));

export async function npm(args: readonly string[], cwd: string): Promise<void> {
  const { code, output } = await run('npm', args, { cwd, env: cleanEnv });
  if (code === 0) return;
  const reasons = output.split('\n').filter((line: string) => /npm error/.test(line));
  throw new Error(`npm ${args[0]} failed: ${reasons.slice(0, 6).join(' ').replaceAll('npm error ', '')}`);
}

let packed: Promise<string> | undefined;

/** The tarball that npm would publish. Its name ends with the hash of its content, or npm would take an older one. */
export const tarball = (): Promise<string> => (packed ??= pack());

async function pack(): Promise<string> {
  const folder = join(apps, '.packed');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await npm(['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], root);
  const path = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '');
  const hash = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12);
  const named = join(folder, `sojourn-${hash}.tgz`);
  cpSync(path, named);
  return named;
}

/** What npm looks at when it installs sojourn. Another build with the same is unpacked over the last one. */
function demandsOf(): unknown[] {
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  return [own['dependencies'], own['peerDependencies'], own['peerDependenciesMeta'], own['optionalDependencies']];
}

/** Installs the packages (`name@version`) and sojourn. Resolves with the folder. Rejects with what npm said. */
export async function installApp(name: string, packages: readonly string[]): Promise<string> {
  const sojourn = await tarball();
  const folder = join(apps, name);
  const stamp = join(folder, '.installed-from');
  const wanted = JSON.stringify([packages, demandsOf(), PUBLISHED_BEFORE]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) {
    const installed = join(folder, 'node_modules/sojourn');
    rmSync(join(installed, 'dist'), { recursive: true, force: true });
    await runOrReject('tar', ['xzf', sojourn, '--strip-components=1', '-C', installed], folder);
    return folder;
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  await npm([...args, `--before=${PUBLISHED_BEFORE}`, ...packages, sojourn], folder);
  writeFileSync(stamp, wanted);
  return folder;
}
