/**
 * `node scripts/servers.mjs [name …]`: installs what tests run and `npm ci` does not bring, and prints what is missing.
 * The names: `servers` (packages of Debian and Ubuntu, by apt-get as root), the folders of `test/installs/`, and the clients of
 * `test/clients/programs`, which are built in `test/installs/clients/`. Without names: what `npm test` needs. A folder is made
 * again when its lock file or its sources have changed.
 */
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, run, runOrReject as step } from './steps.mjs';

/** By their package, and the programs of which one is needed. */
const SERVERS = {
  'redis-server': ['redis-server', 'valkey-server'],
  postgresql: ['initdb'],
  pgbouncer: ['pgbouncer'],
  nginx: ['nginx'],
  haproxy: ['haproxy'],
  prometheus: ['promtool'],
  chromium: ['chromium', 'chromium-browser', 'google-chrome-stable'],
};

/** Debian keeps programs in folders that are not in every PATH. The newest PostgreSQL comes first. */
function programFolders() {
  const postgres = '/usr/lib/postgresql';
  const versions = existsSync(postgres)
    ? readdirSync(postgres).sort((a, b) => Number(b) - Number(a))
    : [];
  const system = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];
  const path = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return [...path, ...system, ...versions.map((version) => join(postgres, version, 'bin'))];
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The path of a program, or undefined. */
export const findProgram = (name) =>
  programFolders()
    .map((folder) => join(folder, name))
    .find(isExecutable);

const missingServers = () =>
  Object.keys(SERVERS).filter(
    (name) => !SERVERS[name].some((program) => findProgram(program) !== undefined),
  );

async function installServers() {
  const packages = missingServers();
  if (packages.length > 0 && process.getuid?.() === 0 && findProgram('apt-get') !== undefined) {
    console.log(`servers: apt-get installs ${packages.join(', ')}`);
    const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
    await run('apt-get', ['update', '-q'], { env });
    // One by one: a package that this release lacks does not prevent the others.
    for (const name of packages)
      await run('apt-get', ['install', '-qy', '--no-install-recommends', name], { env });
  }
  const missing = missingServers().join(' ');
  return missing === ''
    ? undefined
    : `not installed; as root: apt-get update && apt-get install ${missing}`;
}

const tool = (name) => join(root, 'test/installs', name);
const client = (name) => join(root, 'test/clients/programs', name);
const clientsFolder = process.env.SOJOURN_CLIENTS_FOLDER ?? tool('clients');

/** The packages of a folder of `test/installs/`, which is a project with a lock file of its own. */
const packages = (name) => ({
  inputs: ['package.json', 'package-lock.json'].map((file) => join(tool(name), file)),
  folder: join(tool(name), 'node_modules'),
  make: () =>
    step(
      'npm',
      ['ci', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'],
      tool(name),
    ),
});

/** Validators for the recipes of examples/deploy. `requirements.txt` pins every package and its hashes. */
const recipes = {
  needs: 'python3',
  inputs: [join(tool('recipes'), 'requirements.txt')],
  folder: join(tool('recipes'), 'venv'),
  make: (folder) =>
    python(
      folder,
      '--require-hashes',
      '--no-deps',
      '-r',
      join(tool('recipes'), 'requirements.txt'),
    ),
};

async function python(venv, ...what) {
  rmSync(venv, { recursive: true, force: true });
  await step('python3', ['-m', 'venv', venv], root);
  await step(
    join(venv, 'bin/pip'),
    ['install', '--quiet', '--retries', '1', '--no-compile', ...what],
    root,
  );
}

/** How each language builds a client, and starts it. `.github/dependabot.yml` keeps their versions new. */
const LANGUAGES = {
  python: {
    needs: 'python3',
    wire: 'wire.py',
    build: (folder) =>
      python(join(folder, 'venv'), '--no-deps', '-r', join(folder, 'requirements.txt')),
    command: (folder) => [join(folder, 'venv/bin/python'), join(folder, 'program.py')],
  },
  go: {
    needs: 'go',
    wire: 'wire.go',
    build: (folder) => step('go', ['build', '-mod=readonly', '-o', 'program', '.'], folder),
    command: (folder) => [join(folder, 'program')],
  },
  rust: {
    needs: 'cargo',
    build: (folder) => step('cargo', ['build', '--quiet', '--locked'], folder),
    command: (folder) => [join(folder, 'target/debug/program')],
  },
  java: {
    needs: 'mvn',
    build: (folder) =>
      step(
        'mvn',
        ['-q', '-B', 'compile', 'dependency:copy-dependencies', '-DoutputDirectory=lib'],
        folder,
      ),
    command: (folder) => [
      'java',
      '-cp',
      ['target/classes', 'lib/*'].map((path) => join(folder, path)).join(delimiter),
      'Program',
    ],
  },
  /** The pinned version is that of the root's lock file, which Node finds from the folder. */
  typescript: {
    needs: 'node',
    wire: 'wire.mjs',
    build: () => {},
    command: (folder) => [process.execPath, join(folder, 'program.mjs')],
  },
};

const CLIENTS = {
  'python-1': 'python',
  'python-2': 'python',
  'go-sdk': 'go',
  'mcp-go': 'go',
  'typescript-1': 'typescript',
  'typescript-2': 'typescript',
  rmcp: 'rust',
  java: 'java',
};
export const allClients = Object.keys(CLIENTS);
const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

function clientPart(name) {
  const { needs, wire, build } = LANGUAGES[CLIENTS[name]];
  const shared = wire === undefined ? [] : [join(client('wire'), wire)];
  return {
    needs,
    inputs: [...filesIn(client(name)), ...shared],
    folder: join(clientsFolder, name),
    async make(folder) {
      // Compiled dependencies of Rust and Java stay.
      for (const entry of readdirSync(folder).filter((found) => found !== 'target'))
        rmSync(join(folder, entry), { recursive: true, force: true });
      cpSync(client(name), folder, { recursive: true });
      for (const file of shared) cpSync(file, join(folder, wire));
      await build(folder);
    },
  };
}

const TOOLS = existsSync(join(root, 'test/installs'))
  ? readdirSync(join(root, 'test/installs')).filter((name) =>
      existsSync(join(tool(name), 'package-lock.json')),
    )
  : [];

const partOf = (name) =>
  name in CLIENTS ? clientPart(name) : name === 'recipes' ? recipes : packages(name);

const stampOf = ({ folder }) => join(folder, '.made-from');

const isCurrent = (part) =>
  existsSync(stampOf(part)) && readFileSync(stampOf(part), 'utf8') === hashOf(part);

function hashOf({ inputs }) {
  const hash = createHash('sha256');
  for (const file of inputs) hash.update(readFileSync(file));
  return hash.digest('hex');
}

/** What the machine lacks for a folder of `test/installs/` or a client, before it is made. */
const neededBy = ({ needs }) =>
  needs === undefined || findProgram(needs) !== undefined ? undefined : `${needs} is not installed`;

/** Makes a folder of `test/installs/` or a client. Resolves with what the machine lacks for it, or with undefined. */
async function make(name) {
  const part = partOf(name);
  const needed = neededBy(part);
  if (needed !== undefined || isCurrent(part)) return needed;
  const started = performance.now();
  mkdirSync(part.folder, { recursive: true });
  try {
    await part.make(part.folder);
  } catch (error) {
    console.log(error.message);
    return `${name} cannot be installed here`;
  }
  writeFileSync(stampOf(part), hashOf(part));
  console.log(`${name}: installed in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

/** Why a test cannot use a folder of `test/installs/` or a client; `undefined`: it can. */
export function lackOf(name) {
  const part = partOf(name);
  const missing = isCurrent(part)
    ? undefined
    : `${name} is not installed: node scripts/servers.mjs ${name}`;
  return neededBy(part) ?? missing;
}

export const commandOf = (name) => LANGUAGES[CLIENTS[name]].command(join(clientsFolder, name));

/** The path of a program of test/installs/recipes, or undefined where they are not installed. */
export const recipeProgram = (name) =>
  isCurrent(recipes) ? join(recipes.folder, 'bin', name) : undefined;

/** What `npm test` needs. `npm run test:matrix` needs every folder of `test/installs/`, `npm run test:clients` the clients. */
const USUAL = ['servers', 'adapters', 'compilers', 'conformance', 'ext-tasks', 'otel-2'];
export const everyTool = ['servers', ...TOOLS, 'recipes'];

/** Side by side: much of it waits for a registry. Elsewhere than under CI the tests of what is missing are skipped. */
export async function install(names = []) {
  const wanted = names.length > 0 ? names : USUAL;
  await Promise.all(
    wanted.map(async (name) => {
      const lack = name === 'servers' ? await installServers() : await make(name);
      if (lack !== undefined)
        console.log(`${name}: ${lack}; its tests ${process.env.CI ? 'fail' : 'are skipped'}`);
    }),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2).flatMap((name) => (name === 'clients' ? allClients : [name]));
  const known = [...everyTool, ...allClients];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`${unknown.join(', ')}: the names are ${known.join(', ')}, clients`);
  await install(names);
}
