/**
 * `node scripts/ensure-servers.mjs`: checks that the servers which tests start are installed. As root on Debian or
 * Ubuntu it installs missing servers by apt-get; elsewhere it prints what to install. It starts no service, now or at
 * boot. Exits 1 when a server is still missing.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SERVERS, findProgram, isInstalled, programFolders } from './server-programs.mjs';

/** A mirror that does not answer must not block a test run for hours. */
const APT_MS = 10 * 60_000;
const APT_ENV = { DEBIAN_FRONTEND: 'noninteractive', NEEDRESTART_SUSPEND: '1', LC_ALL: 'C.UTF-8' };
const APT_OPTIONS = ['-q', '-y', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2'];
const INSTALL = ['install', '--no-install-recommends'];

/** Files that exist while packages are installed, unless they existed before. */
const GUARDS = [
  // Debian's way to prevent services from starting.
  { path: '/usr/sbin/policy-rc.d', text: '#!/bin/sh\nexit 101\n', mode: 0o755 },
  // The PostgreSQL package would create a cluster; tests create their own.
  {
    path: '/etc/postgresql-common/createcluster.d/sojourn-tests.conf',
    text: 'create_main_cluster = false\n',
    mode: 0o644,
  },
];

/** The signal that arrived during the installation: run no further command. */
let interrupted;

function run(command, args) {
  if (interrupted !== undefined) return Promise.resolve({ code: 1, output: '' });
  return new Promise((done) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...APT_ENV },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: APT_MS,
    });
    let output = '';
    const collect = (chunk) => (output += chunk);
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => done({ code: 127, output: `${command}: ${error.message}\n` }));
    child.on('close', (code) => done({ code: code ?? 1, output }));
  });
}

/** Creates the guard files. Returns a function that removes them. */
function guard(systemRoot) {
  const undo = [];
  for (const { path, text, mode } of GUARDS) {
    const file = join(systemRoot, path);
    if (existsSync(file)) continue;
    const folder = dirname(file);
    const made = mkdirSync(folder, { recursive: true });
    writeFileSync(file, text, { mode });
    undo.push(() => {
      rmSync(file, { force: true });
      if (made !== undefined) removeEmpty(folder);
    });
  }
  return () => undo.forEach((step) => step());
}

/** A package may have added files to the folder in the meantime. */
function removeEmpty(folder) {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!['ENOTEMPTY', 'ENOENT'].includes(error.code)) throw error;
  }
}

/** Removes the guard files even when interrupted: apt-get gets the terminal's signal too, and ends. */
async function uninterrupted(work) {
  const note = (signal) => (interrupted = signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, note);
  try {
    return await work();
  } finally {
    for (const signal of signals) process.off(signal, note);
    if (interrupted !== undefined) process.kill(process.pid, interrupted);
  }
}

/** Resolves with apt-get's output when it could not install every package. */
async function install(apt, packages) {
  const ask = (names) => run(apt, [...INSTALL, ...APT_OPTIONS, ...names]);
  const first = await ask(packages);
  if (first.code === 0) return '';
  // The package lists may be missing or older than the mirror.
  const update = await run(apt, ['update', '-q']);
  const second = await ask(packages);
  if (second.code === 0) return '';
  // A package that this release lacks must not prevent the others.
  const outputs = [update.output, second.output];
  for (const name of packages.length > 1 ? packages : []) {
    const alone = await ask([name]);
    if (alone.code !== 0) outputs.push(alone.output);
  }
  return complaints(outputs.join('\n'));
}

/** The complaints in apt-get's output. A missing mirror is only a warning there. */
function complaints(output) {
  const lines = output.split('\n').filter((line) => /^(E|W|Err:\d+|dpkg|apt-get):? /.test(line));
  return [...new Set(lines)].join('\n');
}

function seconds(since) {
  return ((performance.now() - since) / 1000).toFixed(1);
}

/** Resolves with the names of the servers that are still missing. The options are for tests. */
export async function ensureServers({
  search = {},
  systemRoot = '/',
  isRoot = process.getuid?.() === 0,
  isCi = Boolean(process.env.CI),
  out = console.log,
} = {}) {
  const missing = () => SERVERS.filter((server) => !isInstalled(server, programFolders(search)));
  const wanted = missing();
  if (wanted.length === 0) {
    out(`servers: ${SERVERS.map(({ name }) => name).join(', ')} are installed`);
    return [];
  }
  const apt = findProgram('apt-get', programFolders(search));
  const packages = wanted.map((server) => server.package);
  if (apt !== undefined && isRoot) {
    const started = performance.now();
    out(`servers: apt-get installs ${packages.join(', ')}`);
    const output = await uninterrupted(async () => {
      const unguard = guard(systemRoot);
      try {
        return await install(apt, packages);
      } finally {
        unguard();
      }
    });
    const left = new Set(missing());
    const installed = wanted.filter((server) => !left.has(server)).map((server) => server.package);
    const systemctl = findProgram('systemctl', programFolders(search));
    const services = wanted.filter((server) => !left.has(server) && server.service !== false);
    if (systemctl !== undefined && services.length > 0)
      await run(systemctl, ['disable', ...services.map((server) => server.package)]);
    if (installed.length > 0) out(`servers: installed ${installed.join(', ')} in ${seconds(started)} s`);
    if (output !== '') out(output.trimEnd().replace(/^/gm, '    '));
  }
  const left = missing();
  if (left.length === 0) return [];
  const names = left.map(({ name }) => name);
  out(`servers: ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} not installed; ${howTo(left, apt)}`);
  out(isCi ? 'servers: their tests fail' : 'servers: their tests are skipped');
  return names;
}

function howTo(servers, apt) {
  if (apt !== undefined) {
    return `as root: apt-get update && apt-get ${INSTALL.join(' ')} ${servers.map((server) => server.package).join(' ')}`;
  }
  const programs = servers.flatMap((server) => server.programs.map((names) => names.join(' or ')));
  return `put into the PATH: ${programs.join(', ')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = (await ensureServers()).length === 0 ? 0 : 1;
}
