/**
 * `npm run test:newest [-- test/definition …]`: the parts that touch the SDK and the clients of the stores, with the newest
 * versions in npm's registry. `tools/newest/repository` is a copy of this repository with packages of its own, made anew each time:
 * the versions of the lock file, and the newest of `PACKAGES`. Exits 1 when the types, the build or a test fails.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root, runOrReject, runSteps, run } from './steps.mjs';

/** An SDK has two lines with packages of their own, so its newest version is that of the same major. */
const SDK = /^@modelcontextprotocol\//;
const PACKAGES = [SDK, /^pg$/, /^redis$/];

/** Folders of `test/` in which a request, a session or a store runs through these packages. */
export const PARTS = [
  'adopt',
  'behaviour',
  'clients',
  'conformance',
  'definition',
  'endpoint',
  'eras',
  'examples',
  'pins',
  'protocol',
  'session',
  'stores',
].map((name) => `test/${name}`);

const copy = join(root, 'tools/newest/repository');
const read = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** What npm is asked for, as `pg@latest`, from the contents of a package.json. */
export function newestOf({ dependencies = {}, devDependencies = {} }) {
  const names = Object.entries({ ...dependencies, ...devDependencies });
  return names
    .filter(([name]) => PACKAGES.some((pattern) => pattern.test(name)))
    .map(([name, range]) => `${name}@${SDK.test(name) ? `^${/\d+/.exec(range)?.[0]}` : 'latest'}`);
}

/** Copies what git tracks, and new files that it does not ignore. */
function copyRepository() {
  rmSync(copy, { recursive: true, force: true });
  const { stdout } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  for (const file of stdout.split('\0').filter((name) => name !== '' && existsSync(join(root, name)))) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(root, file), join(copy, file), { verbatimSymlinks: true });
  }
}

/** Prints what the tests run with, beside the lock file. */
function printVersions(wanted) {
  const locked = read(join(root, 'package-lock.json')).packages;
  for (const name of wanted.map((spec) => spec.slice(0, spec.lastIndexOf('@')))) {
    const { version } = read(join(copy, 'node_modules', name, 'package.json'));
    const before = locked[`node_modules/${name}`]?.version;
    console.log(`${name.padEnd(32)}${version}${before === version ? '' : `, the lock file has ${before}`}`);
  }
}

function runTests(parts) {
  const child = spawn(process.execPath, [join(copy, 'node_modules/vitest/vitest.mjs'), 'run', ...parts], {
    cwd: copy,
    stdio: 'inherit',
    // Clients in other languages are built in the repository.
    env: { ...process.env, SOJOURN_CLIENTS_FOLDER: join(root, 'tools/clients') },
  });
  return new Promise((done) => child.on('close', (code) => done(code ?? 1)));
}

async function main(parts) {
  copyRepository();
  const wanted = newestOf(read(join(copy, 'package.json')));
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts'];
  await runOrReject('npm', ['install', ...quiet, ...wanted], copy);
  printVersions(wanted);
  const node = (script, ...args) => run(process.execPath, [join(copy, script), ...args], { cwd: copy });
  const failed = [
    ...(await runSteps([{ name: 'build', run: () => node('scripts/build.mjs') }])),
    ...(await runSteps([
      { name: 'types', run: () => node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--pretty', 'false') },
    ])),
  ];
  const code = await runTests(parts.length > 0 ? parts : PARTS);
  for (const name of failed) console.log(`FAILED  ${name} with the newest versions`);
  return failed.length > 0 ? 1 : code;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
