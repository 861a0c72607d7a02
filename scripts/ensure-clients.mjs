/**
 * `node scripts/ensure-clients.mjs [name …]`: installs and builds the clients in other languages
 * (`test/clients/programs/`) in `tools/clients/`, when one is missing or its sources or pinned versions have changed.
 * Without names: those of `npm test`. `--newest NAME` takes the newest versions of the registries instead of the pinned.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { locked } from './ensure-tools.mjs';
import { root, runOrReject as step } from './steps.mjs';

const NOT_TO_BE_HAD = Symbol('the registry of its packages is not reached');

const programs = join(root, 'test/clients/programs');
/** Another folder is for tests. */
const built = process.env.SOJOURN_CLIENTS_FOLDER ?? join(root, 'tools/clients');

/** A step that only downloads. Its failure is a fact about the machine, and not a fault of this repository. */
async function download(command, args, folder) {
  await step(command, args, folder).catch((cause) => {
    throw new Error(cause.message, { cause: NOT_TO_BE_HAD });
  });
}

const python = {
  needs: 'python3',
  wire: 'wire.py',
  async build(folder) {
    await step('python3', ['-m', 'venv', 'venv'], folder);
    const args = ['install', '--quiet', '--retries', '1', '--no-deps', '-r', 'requirements.txt'];
    await download(join(folder, 'venv/bin/pip'), args, folder);
  },
  async newest(folder) {
    const requirements = join(folder, 'requirements.txt');
    const major = Number(/^mcp==(\d+)/m.exec(readFileSync(requirements, 'utf8'))?.[1]);
    writeFileSync(requirements, `mcp>=${major},<${major + 1}\n`);
    await step('python3', ['-m', 'venv', 'venv'], folder);
    await step(join(folder, 'venv/bin/pip'), ['install', '--quiet', '-r', 'requirements.txt'], folder);
  },
  command: (folder) => [join(folder, 'venv/bin/python'), join(folder, 'program.py')],
};
const go = (module) => ({
  needs: 'go',
  wire: 'wire.go',
  async build(folder) {
    await download('go', ['mod', 'download'], folder);
    await step('go', ['build', '-mod=readonly', '-o', 'program', '.'], folder);
  },
  async newest(folder) {
    await step('go', ['get', `${module}@latest`], folder);
    await step('go', ['mod', 'tidy'], folder);
    await go(module).build(folder);
  },
  command: (folder) => [join(folder, 'program')],
});
const rust = {
  needs: 'cargo',
  build: (folder) => step('cargo', ['build', '--quiet', '--locked'], folder),
  async newest(folder) {
    const manifest = join(folder, 'Cargo.toml');
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, text.replace(/(?<=rmcp = \{ version = ")[^"]+/, '*'));
    await step('cargo', ['update', '--quiet'], folder);
    await rust.build(folder);
  },
  command: (folder) => [join(folder, 'target/debug/program')],
};
const java = {
  needs: 'mvn',
  build: (folder) =>
    step('mvn', ['-q', '-B', 'compile', 'dependency:copy-dependencies', '-DoutputDirectory=lib'], folder),
  async newest(folder) {
    const command = ['-q', '-B', 'versions:update-properties', '-DincludeProperties=mcp.version'];
    await step('mvn', command, folder);
    await java.build(folder);
  },
  command: (folder) => [
    'java',
    '-cp',
    `${join(folder, 'target/classes')}${delimiter}${join(folder, 'lib')}/*`,
    'Program',
  ],
};
/** The pinned version is that of the root's lock file, which Node finds from the folder. */
const typescript = (name) => ({
  needs: 'node',
  wire: 'wire.mjs',
  build: () => {},
  async newest(folder) {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
    await step('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@latest`], folder);
  },
  command: (folder) => [process.execPath, join(folder, 'program.mjs')],
});

/** By name: which program a machine needs for it, the file of `programs/wire` that it shares, how it is built and started. */
const clients = {
  'python-1': python,
  'python-2': python,
  'go-sdk': go('github.com/modelcontextprotocol/go-sdk'),
  'mcp-go': go('github.com/mark3labs/mcp-go'),
  'typescript-1': typescript('@modelcontextprotocol/sdk'),
  'typescript-2': typescript('@modelcontextprotocol/client'),
  rmcp: rust,
  java,
};
/** The builds of the others take minutes: `npm run test:clients`. */
const QUICK = ['python-1', 'python-2', 'go-sdk', 'mcp-go', 'typescript-1', 'typescript-2'];

export const allClients = Object.keys(clients);

const isOnPath = (name) => process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, name)));

function hashOf(name) {
  const hash = createHash('sha256');
  for (const file of sources(name)) hash.update(file).update(readFileSync(join(programs, name, file)));
  const { wire } = clients[name];
  if (wire !== undefined) hash.update(readFileSync(join(programs, 'wire', wire)));
  return hash.digest('hex');
}

const sources = (name) =>
  readdirSync(join(programs, name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(join(programs, name).length + 1))
    .toSorted();

/** The clients whose packages an earlier attempt of this run could not download. */
const lacking = () => (process.env.SOJOURN_LACKING_CLIENTS ?? '').split(',').filter(Boolean);

/** What this machine cannot run it without, as `go is not installed`, or undefined. */
export function missingFor(name) {
  const { needs } = clients[name];
  if (!isOnPath(needs)) return `${needs} is not installed`;
  return lacking().includes(name) ? 'its packages cannot be downloaded here' : undefined;
}

/** Builds the client. Resolves with what the machine lacks for it, or undefined. Rejects for any other failure. */
export async function lackOf(name, build = ensureClient) {
  const missing = missingFor(name);
  if (missing !== undefined) return missing;
  try {
    await build(name);
    return undefined;
  } catch (error) {
    if (error.cause !== NOT_TO_BE_HAD) throw error;
    console.log(error.message);
    // The processes that this one starts do not wait for the registry again.
    process.env.SOJOURN_LACKING_CLIENTS = [...lacking(), name].join(',');
    return missingFor(name);
  }
}

export const commandOf = (name) => clients[name].command(join(built, name));

/** Resolves when the client is built from its pinned versions; rejects with what the build printed. */
export async function ensureClient(name) {
  const folder = join(built, name);
  const stamp = join(folder, '.built-from');
  const hash = hashOf(name);
  const isCurrent = () => existsSync(stamp) && [hash, `newest ${hash}`].includes(readFileSync(stamp, 'utf8'));
  if (isCurrent()) return;
  await locked(`clients/${name}`, async () => {
    if (isCurrent()) return;
    const started = performance.now();
    place(name);
    await clients[name].build(folder);
    writeFileSync(stamp, hash);
    console.log(`client ${name}: built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });
}

/** An older build goes; the compiled dependencies of Rust and Java stay. */
function place(name) {
  const folder = join(built, name);
  mkdirSync(folder, { recursive: true });
  for (const entry of readdirSync(folder)) {
    if (entry !== 'target') rmSync(join(folder, entry), { recursive: true, force: true });
  }
  cpSync(join(programs, name), folder, { recursive: true });
  const { wire } = clients[name];
  if (wire !== undefined) cpSync(join(programs, 'wire', wire), join(folder, wire));
}

/** Resolves when the client is built from the newest versions. The next change of its sources goes back to the pinned. */
export async function takeNewest(name) {
  place(name);
  await clients[name].newest(join(built, name));
  writeFileSync(join(built, name, '.built-from'), `newest ${hashOf(name)}`);
  console.log(`client ${name}: built with the newest versions`);
}

/** Builds what this machine can; resolves with a line for each that failed, and for each that it cannot under CI. */
export async function ensureClients(names = QUICK, build = ensureClient) {
  const problems = [];
  for (const name of names) {
    try {
      const lack = await lackOf(name, build);
      if (lack === undefined) continue;
      console.log(`client ${name}: ${lack}; its tests ${process.env.CI ? 'fail' : 'are skipped'}`);
      if (process.env.CI) problems.push(`client ${name}: ${lack}`);
    } catch (error) {
      console.log(error.message);
      problems.push(`client ${name}`);
    }
  }
  return problems;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2).filter((word) => !word.startsWith('--'));
  const chosen = names.length > 0 ? names : undefined;
  const problems = await ensureClients(chosen, process.argv.includes('--newest') ? takeNewest : ensureClient);
  if (problems.length > 0) process.exitCode = 1;
}
