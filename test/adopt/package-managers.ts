/** npm, pnpm and yarn, which install the apps of `dependencies.ts`. Install scripts do not run. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
// @ts-expect-error a script without declarations
import { run } from '../../scripts/steps.mjs';
import { apps, cleanEnv, npm, tarball, versionSeen } from './app-folder.ts';

/** In these versions they install Node 20 apps. */
const PROGRAMS = ['pnpm@10.34.8', 'yarn@1.22.22'];

export const MANAGERS = ['npm', 'pnpm', 'yarn'] as const;
export type Manager = (typeof MANAGERS)[number];

const ARGS = {
  npm: ['install', '--save-exact', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'],
  pnpm: ['add', '--save-exact', '--ignore-scripts', '--prefer-offline', '--config.strict-peer-dependencies=true'],
  yarn: ['add', '--exact', '--ignore-scripts', '--prefer-offline', '--non-interactive', '--no-lockfile'],
} as const satisfies Record<Manager, readonly string[]>;

let programs: Promise<string> | undefined;

/** The folder of the programs. */
const managers = (): Promise<string> => (programs ??= installManagers());

async function installManagers(): Promise<string> {
  const folder = join(apps, '.managers');
  if (!PROGRAMS.every((program) => existsSync(join(folder, 'node_modules', program.replace(/@[\d.]+$/, ''))))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    await npm([...ARGS.npm, ...PROGRAMS], folder);
  }
  return join(folder, 'node_modules/.bin');
}

/** A new app with the packages (`name@version`) and the packed sojourn. Rejects with what the manager said. */
export async function installWith(manager: Manager, name: string, packages: readonly string[]): Promise<string> {
  const folder = join(apps, 'dependencies', manager, name.replace(/\W+/g, '-'));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  const program = manager === 'npm' ? 'npm' : join(await managers(), manager);
  const sojourn = `file:${await tarball()}`;
  // The author has the packages first: npm then holds on to their versions, and used to end with ERESOLVE.
  for (const wanted of [packages, [sojourn]]) {
    if (wanted.length === 0) continue;
    const { code, output } = await run(program, [...ARGS[manager], ...wanted], { cwd: folder, env: cleanEnv });
    if (code !== 0) throw new Error(`${manager}: ${output.trim().split('\n').slice(-8).join(' ')}`);
  }
  for (const wanted of packages) {
    const at = wanted.lastIndexOf('@');
    const seen = versionSeen(folder, '.', wanted.slice(0, at));
    if (seen !== wanted.slice(at + 1)) throw new Error(`the app has ${seen} in place of ${wanted}`);
  }
  // It fails for a version that a package does not accept.
  if (manager === 'npm') await npm(['ls', '--all'], folder);
  return folder;
}
