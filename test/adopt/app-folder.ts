/**
 * The app of an author: an empty folder in `tools/adopt/`, the packages of a list in pinned versions, and the packed
 * tarball of this build, installed with npm as a user installs them. `--before` pins what the packages depend on.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { inherited } from '../kit/child-process.ts';
import { packed } from '../kit/packed.ts';

/** No package that is younger is installed. Renew it with the versions of the list. */
const PUBLISHED_BEFORE = '2026-11-24';

const root = resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

/** What npm looks at when it installs sojourn. Another build with the same is unpacked over the last one. */
function demandsOf(): unknown[] {
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  return [own['dependencies'], own['peerDependencies'], own['peerDependenciesMeta'], own['optionalDependencies']];
}

/** Installs the packages (`name@version`) and sojourn. Resolves with the folder. Rejects with what npm said. */
export async function installApp(name: string, packages: readonly string[]): Promise<string> {
  const sojourn = await packed();
  const folder = join(root, 'tools/adopt', name);
  const stamp = join(folder, '.installed-from');
  const wanted = JSON.stringify([packages, demandsOf(), PUBLISHED_BEFORE]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) {
    const installed = join(folder, 'node_modules/sojourn');
    rmSync(join(installed, 'dist'), { recursive: true, force: true });
    await run('tar', ['xzf', sojourn, '--strip-components=1', '-C', installed]);
    return folder;
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  await run('npm', [...args, `--before=${PUBLISHED_BEFORE}`, ...packages, sojourn], { cwd: folder, env: inherited });
  writeFileSync(stamp, wanted);
  return folder;
}
