/** `sojourn` as a child process, from the build. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { until } from '../kit/until.ts';

export const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const programs = fileURLToPath(new URL('processes/', import.meta.url));

/** A module of `processes/`, by name. */
export const program = (name: string): string => `${programs}${name}`;

export interface CliOptions {
  env?: Record<string, string>;
  cwd?: string;
  /** The Node binary. */
  node?: string;
  /** The build to run. */
  from?: string;
  /** A listening socket to pass on, as systemd does. */
  fd?: number;
  /** What it reads. Without it, there is nothing to read. */
  input?: string;
  /** The user to run as. */
  user?: { readonly uid: number; readonly gid: number };
}

/** Only the process itself knows the id that it will have; `exec` keeps it. */
const ACTIVATED = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"';

/** The variables of the test run itself, and what npm adds, are not the CLI's. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SOJOURN_|npm_|NODE_OPTIONS$|VITEST)/.test(name)),
);

export function startCli(
  args: string[],
  { env = {}, cwd = programs, node = process.execPath, from = dist, fd, input, user }: CliOptions = {},
) {
  const command = [node, `${from}/cli/main.js`, ...args];
  const [file = '', ...rest] = fd === undefined ? command : ['sh', '-c', ACTIVATED, ...command];
  const child = spawn(file, rest, {
    cwd,
    ...user,
    // A test signals the process that serves, unless the test asks for workers.
    env: { ...inherited, SOJOURN_WORKERS: '0', ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
  child.stdin?.end(input);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  }
  const closed = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await closed;
  });
  return {
    output,
    /** Its process id. With workers it is their parent. */
    parent: child.pid,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Resolves once it has ended. */
    async ended() {
      const [code, signal] = await closed;
      return { code, signal, ...output };
    },
    /** The endpoint's URL, from the banner. */
    async url(): Promise<string> {
      const told = () => /^ {2}endpoint +(\S+)$/m.exec(output.stdout)?.[1];
      await until(() => told() !== undefined || child.exitCode !== null, { timeoutMs: 60_000, what: 'the banner' });
      const url = told();
      if (url === undefined) throw new Error(`ended with ${child.exitCode}: ${output.stderr}`);
      return url;
    },
  };
}

/** Runs it to its end. */
export const runProcess = (args: string[], options?: CliOptions) => startCli(args, options).ended();
