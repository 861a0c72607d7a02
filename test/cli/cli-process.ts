/** `sojourn` as a child process, from the build. */
import { fileURLToPath } from 'node:url';
import { activated, inherited, startNode } from '../kit/child-process.ts';
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
  /** The user to run as. */
  user?: { readonly uid: number; readonly gid: number };
}

/** A line of the log. */
export interface LogLine {
  /** The process that wrote it. */
  readonly pid?: number;
  readonly msg: string;
  readonly level: number;
  /** ms since 1970. */
  readonly time: number;
  readonly worker?: number;
  readonly worker_pid?: number;
  readonly end?: string;
}

export function startCli(
  args: string[],
  { env = {}, cwd = programs, node = process.execPath, from = dist, fd, user }: CliOptions = {},
) {
  const [program = '', ...rest] = activated([node, `${from}/cli/main.js`, ...args], fd);
  const { child, output, closed, says } = startNode(rest, {
    program,
    cwd,
    ...user,
    fd,
    // A test signals the process that serves, unless the test asks for workers.
    env: { ...inherited, SOJOURN_WORKERS: '0', ...env },
  });
  const lines = (): LogLine[] =>
    output.stderr
      .split('\n')
      .slice(0, -1)
      .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogLine] : []));
  return {
    output,
    lines,
    /** Resolves when a line of the log has this text. */
    logs: (text: string): Promise<unknown> =>
      until(() => lines().some(({ msg }) => msg.includes(text)), { what: `the line "${text}"` }),
    /** Its process id. With workers it is their parent. */
    parent: child.pid,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Resolves once it has ended. */
    async ended() {
      const [code, signal] = await closed;
      return { code, signal, ...output };
    },
    /** The endpoint's URL, from the banner. */
    url: () => says(/^ {2}endpoint +(\S+)$/m),
    says,
  };
}

/** Runs it to its end. */
export const runProcess = (args: string[], options?: CliOptions) => startCli(args, options).ended();
