/**
 * `node scripts/ensure-tools.mjs tools/conformance [folder …]`: installs the packages of a tool folder when they are missing or its
 * lock file has changed since. Tool folders are projects of their own: what they bring (a newer Node among it) must not
 * be found by the scripts of the root. Two processes may ask at once: the second waits for the first.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(import.meta.dirname, '..');
const ABANDONED_MS = 10 * 60_000; // no install takes longer: a lock this old was left by a killed process

/** What npm prints where its registry is not reached, or does not have a package. */
const NOT_TO_BE_HAD =
  /npm error code (?:E40[34]|E5\d\d|ENOTFOUND|EAI_AGAIN|ECONNRE\w+|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT)/;

/** The folders whose packages an earlier attempt of this run could not download, as `tools/runtimes`. */
const lacking = () => (process.env.SOJOURN_LACKING_TOOLS ?? '').split(',').filter(Boolean);

const stampOf = (folder) => join(folder, 'node_modules/.installed-from');

function lockHash(folder) {
  const hash = createHash('sha256');
  for (const name of ['package.json', 'package-lock.json']) hash.update(readFileSync(join(folder, name)));
  return hash.digest('hex');
}

const isCurrent = (folder, hash) => existsSync(stampOf(folder)) && readFileSync(stampOf(folder), 'utf8') === hash;

/** Settings that npm hands to the scripts of the root are not meant for another project. */
function cleanEnv() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|config_local)/.test(name)),
  );
}

function install(folder) {
  return new Promise((done, fail) => {
    const args = ['ci', '--prefix', folder, '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
    const child = spawn('npm', args, { cwd: folder, env: cleanEnv(), stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', fail);
    child.on('close', (code) => (code === 0 ? done() : fail(new Error(`npm ci in ${folder} failed:\n${output}`))));
  });
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export async function locked(folder, work) {
  const lock = join(root, 'node_modules/.cache/sojourn', `installing-${folder.replace(/\W+/g, '-')}`);
  mkdirSync(join(lock, '..'), { recursive: true });
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > ABANDONED_MS) rmSync(lock, { recursive: true, force: true });
      else await pause(250);
    }
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/**
 * Installs the packages of a folder of `tools/`. Resolves with what the machine lacks for them, as `the packages of
 * tools/runtimes cannot be downloaded here`, or with undefined. Rejects for any other failure.
 */
export async function lackOfTools(name) {
  const lack = `the packages of ${name} cannot be downloaded here`;
  if (lacking().includes(name)) return lack;
  try {
    await ensureTools(name);
    return undefined;
  } catch (error) {
    if (!NOT_TO_BE_HAD.test(error.message)) throw error;
    console.log(error.message);
    // The processes that this one starts do not wait for the registry again.
    process.env.SOJOURN_LACKING_TOOLS = [...lacking(), name].join(',');
    return lack;
  }
}

/** Resolves when the packages of `folder` are those of its lock file; rejects with npm's output. */
export async function ensureTools(folder) {
  const path = resolve(root, folder);
  const name = relative(root, path);
  const hash = lockHash(path);
  if (isCurrent(path, hash)) return console.log(`${name}: up to date`);
  await locked(path, async () => {
    if (isCurrent(path, hash)) return console.log(`${name}: up to date`);
    const started = Date.now();
    await install(path);
    writeFileSync(stampOf(path), hash);
    console.log(`${name}: installed in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const folder of process.argv.slice(2)) {
    await ensureTools(folder).catch((error) => {
      console.error(error.message);
      process.exitCode = 1;
    });
  }
}
