#!/usr/bin/env node
/**
 * The entry point: the only file of the CLI that uses the global `process`. Each command is loaded when it runs: only
 * those that serve need the SDK, which takes most of the start of a process.
 */
import cluster from 'node:cluster';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { codeOf, Failure } from './failure.ts';
import { PROVED } from './prove/proved.ts';
import { activatedSocket } from './held-socket.ts';
import { runCli } from './program.ts';
import type { Loading, ServerSource } from './server-module.ts';
import type { ServeSettings } from './settings.ts';
import { takeWorkerRole, WORKER_FD } from './worker-role.ts';

/** How long the last lines wait for a reader when a server ends. */
const LAST_LINES_MS = 1_000;

let served = false;
// `sojourn --help | head -1` closes the pipe early, which is not an error. A full disk is one of a command.
process.stdout.on('error', (error) => {
  if (!served && codeOf(error) !== 'EPIPE') throw error;
});
process.stderr.on('error', () => {});

const args = process.argv.slice(2);
const out = (text: string): void => void process.stdout.write(text);
const err = (text: string): void => void process.stderr.write(text);
const worker = takeWorkerRole(process);
const main = fileURLToPath(import.meta.url);

const code = await runCli(args, {
  env: process.env,
  out,
  err,
  serve: async (name, settings, passed) => {
    const load = async (loading: Loading) =>
      (await import('./server-module.ts')).loadServerModule(name, loading);
    return serveHere(await proved({ name, load }), settings, passed);
  },
  stdio: async (request, settings) => {
    const load = async (loading: Loading) =>
      (await import('./stdio-programs.ts')).loadPrograms(request, settings, loading);
    return serveHere(await proved({ name: request.name, load }), settings, []);
  },
  prove: async (request) => {
    served = true;
    const command = [process.execPath, ...process.execArgv, main];
    const isTerminal = process.stdout.isTTY === true;
    const context = { command, cwd: process.cwd(), env: process.env, isTerminal, out };
    return (await import('./prove/prove.ts')).prove(request, context);
  },
  check: async (module, passed) => {
    process.argv.splice(2, args.length, ...passed);
    return (await import('./check.ts')).check(module, process.cwd());
  },
  doctor: async (request) => (await import('./doctor.ts')).doctor(request),
  records: async (request) => (await import('./records/records.ts')).records(request, out),
}).catch((error: unknown) => {
  // Node prints it, and ends the process. A listener of the module would take its place.
  process.removeAllListeners('uncaughtException');
  throw error;
});
const written = [process.stdout, process.stderr].map(
  (stream) => new Promise<void>((done) => stream.write('', () => done())),
);
// A pager takes a list when its user reads on. A reader of a server's log that has stopped is not waited for.
await Promise.race([Promise.all(written), ...(served ? [delay(LAST_LINES_MS)] : [])]);
// Sockets and timers of the user's module must not keep the process alive after the endpoint has ended.
process.exit(code);

/** An instance of `sojourn prove` reports to it. */
async function proved(source: ServerSource): Promise<ServerSource> {
  if (process.env[PROVED] === undefined) return source;
  return (await import('./prove/reporting.ts')).reporting(source, process);
}

async function serveHere(
  source: ServerSource,
  settings: ServeSettings,
  passed: readonly string[],
): Promise<number> {
  served = true;
  // It would share the port with processes that share no session, or find the port taken.
  if (cluster.isWorker)
    throw new Failure(
      'serve runs as a worker of a cluster, as PM2 starts it with -i: start it once, in fork mode (pm2 start without ' +
        '-i); --workers makes the processes',
    );
  const fd = worker === undefined ? activatedSocket(process.env, process.pid) : WORKER_FD;
  const context = { cwd: process.cwd(), fd, worker, signals: process, out };
  if (worker === undefined && settings.workers > 0) {
    const command = { program: main, args, env: process.env };
    return (await import('./supervise.ts')).supervise(source.name, settings, {
      ...context,
      command,
    });
  }
  // Modules read their own flags from `process.argv`. Its second entry stays this program: a module that compares it
  // with its own file starts another server if they are equal.
  process.argv.splice(2, args.length, ...passed);
  return (await import('./serve.ts')).serve(source, settings, context);
}
