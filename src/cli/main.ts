#!/usr/bin/env node
/** The process: everything that is global about the CLI is here. */
import { runCli } from './program.ts';
import { serve } from './serve.ts';
import { sessions } from './sessions.ts';
import { activatedSocket } from './socket-activation.ts';

// `sojourn --help | head -1`: nobody reads on, which is no error.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const code = await runCli(process.argv.slice(2), {
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  serve: async (module, settings) =>
    serve(module, settings, {
      cwd: process.cwd(),
      fd: takeSocket(),
      signals: process,
      out: (text) => void process.stdout.write(text),
    }),
  sessions: (request) => sessions(request, (text) => void process.stdout.write(text)),
});
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise<void>((written) => stream.write('', () => written()))),
);
// The user's module may hold sockets and timers of its own; they must not keep an ended endpoint alive.
process.exit(code);

/** Whatever the user's module starts must not take the socket for its own. */
function takeSocket(): number | undefined {
  const fd = activatedSocket(process.env, process.pid);
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name];
  return fd;
}
