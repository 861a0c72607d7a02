/** npm, pnpm and yarn, which install the apps of `dependencies.ts`. Install scripts do not run. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
// @ts-expect-error a script without declarations
import { run } from '../../scripts/steps.mjs';
import { apps, cleanEnv, npm, tarball, versionSeen } from './app-folder.ts';

/** In these versions they install Node 20 apps. */
const PROGRAMS = ['pnpm@10.34.8', 'yarn@1.22.22', '@yarnpkg/cli-dist@4.14.1'];

/** `yarn 4 PnP`: without `node_modules`. */
export const MANAGERS = ['npm', 'pnpm', 'yarn', 'yarn 4', 'yarn 4 PnP'] as const;
export type Manager = (typeof MANAGERS)[number];

const YARN_4 = ['node', 'node_modules/@yarnpkg/cli-dist/bin/yarn.js', 'add', '--exact'];

/** The program of a manager and its arguments. What is in `node_modules` is in the folder of the programs. */
const COMMANDS = {
  npm: ['npm', 'install', '--save-exact', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'],
  pnpm: [
    'node_modules/.bin/pnpm',
    'add',
    '--save-exact',
    '--ignore-scripts',
    '--prefer-offline',
    '--config.strict-peer-dependencies=true',
  ],
  yarn: [
    'node',
    'node_modules/yarn/bin/yarn.js',
    'add',
    '--exact',
    '--ignore-scripts',
    '--prefer-offline',
    '--non-interactive',
    '--no-lockfile',
  ],
  'yarn 4': YARN_4,
  'yarn 4 PnP': YARN_4,
} as const satisfies Record<Manager, readonly string[]>;

let programs: Promise<string> | undefined;

/** The folder of the programs. */
const managers = (): Promise<string> => (programs ??= installManagers());

async function installManagers(): Promise<string> {
  const folder = join(apps, '.managers');
  if (!PROGRAMS.every((program) => existsSync(join(folder, 'node_modules', program.replace(/@[\d.]+$/, ''))))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    await npm([...COMMANDS.npm.slice(1), ...PROGRAMS], folder);
  }
  return folder;
}

/** What `node` needs to find the packages that the manager has installed. */
export const nodeFlags = (manager: Manager): string[] =>
  manager === 'yarn 4 PnP' ? ['--require', './.pnp.cjs', '--experimental-loader', './.pnp.loader.mjs'] : [];

/** yarn 4 has no flags for these settings, and takes the folder without a lock file for a part of this repository. */
async function configureYarn4(manager: Manager, folder: string): Promise<void> {
  const { output } = await run('npm', ['config', 'get', 'registry'], { cwd: folder, env: cleanEnv });
  const settings = {
    nodeLinker: manager === 'yarn 4' ? 'node-modules' : 'pnp',
    enableScripts: false,
    enableTelemetry: false,
    npmRegistryServer: output.trim().replace(/\/$/, ''),
  };
  writeFileSync(join(folder, '.yarnrc.yml'), `${JSON.stringify(settings)}\n`);
  writeFileSync(join(folder, 'yarn.lock'), '');
}

/** A new app with the packages (`name@version`) and the packed sojourn. Rejects with what the manager said. */
export async function installWith(manager: Manager, name: string, packages: readonly string[]): Promise<string> {
  const folder = join(apps, 'dependencies', ...[manager, name].map((text) => text.replace(/\W+/g, '-')));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  if (COMMANDS[manager] === YARN_4) await configureYarn4(manager, folder);
  const of = await managers();
  const [program = '', ...args] = COMMANDS[manager].map((word) =>
    word.startsWith('node_modules') ? join(of, word) : word,
  );
  const sojourn = `sojourn@file:${await tarball()}`;
  // The author has the packages first: npm then holds on to their versions, and used to end with ERESOLVE.
  for (const wanted of [packages, [sojourn]]) {
    if (wanted.length === 0) continue;
    const { code, output } = await run(program, [...args, ...wanted], { cwd: folder, env: cleanEnv });
    if (code !== 0) throw new Error(`${manager}: ${output.trim().split('\n').slice(-8).join(' ')}`);
  }
  for (const wanted of packages) {
    const at = wanted.lastIndexOf('@');
    const seen = await versionIn(manager, folder, wanted.slice(0, at));
    if (seen !== wanted.slice(at + 1)) throw new Error(`the app has ${seen} in place of ${wanted}`);
  }
  // It fails for a version that a package does not accept.
  if (manager === 'npm') await npm(['ls', '--all'], folder);
  return folder;
}

async function versionIn(manager: Manager, folder: string, name: string): Promise<string | undefined> {
  const flags = nodeFlags(manager);
  if (flags.length === 0) return versionSeen(folder, '.', name);
  const file = `path.join(require('pnpapi').resolveToUnqualified('${name}', process.cwd() + '/'), 'package.json')`;
  const script = `JSON.parse(fs.readFileSync(${file})).version`;
  const { output } = await run('node', [...flags, '-p', script], { cwd: folder });
  return /^\d+\.\d+\.\d+\S*$/m.exec(output)?.[0];
}
