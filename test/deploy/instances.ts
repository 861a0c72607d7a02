/** Real `sojourn serve` processes on one store, each on a port that it keeps when it is started again. */
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { freePort } from '../kit/free-port.ts';
import { until } from '../kit/until.ts';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const workerServer = fileURLToPath(new URL('../cli/processes/worker-server.mjs', import.meta.url));
const START_MS = 60_000;

/** The variables of the test run itself, and what npm adds, are not theirs. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SOJOURN_|npm_|NODE_OPTIONS$|VITEST)/.test(name)),
);

export interface InstanceOptions {
  /** The server's module; default: `worker-server.mjs` of `test/cli`. */
  readonly module?: string;
  /** A listening socket that is passed to it. */
  readonly fd?: number | undefined;
  /** A program with its arguments that runs the command behind them. Not with `fd`. */
  readonly prefix?: readonly string[];
  /** Further flags. */
  readonly flags?: readonly string[];
  readonly level?: 'debug' | 'warn';
  /** Gets its log as it comes. */
  readonly log?: (text: string) => void;
  /** It ended, and no test has stopped it. */
  readonly ended?: (how: string) => void;
}

/** Only the process itself knows the id that it will have; `exec` keeps it. */
const ACTIVATED = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"';

/** Whatever ends this process, none of them stays. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class DeployedInstance {
  readonly port: number;
  readonly #store: string | undefined;
  readonly #options: InstanceOptions;
  #child: ChildProcess | undefined;
  #last: ChildProcess | undefined;

  /** `store`: a URL; undefined where its module makes one. */
  constructor(port: number, store: string | undefined, options: InstanceOptions = {}) {
    this.port = port;
    this.#store = store;
    this.#options = options;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Of the process that was started last, also when it has ended. */
  get pid(): number | undefined {
    return this.#last?.pid;
  }

  get exitCode(): number | null | undefined {
    return this.#last?.exitCode;
  }

  /** Resolves when it listens. Instances of one `name` share their sessions. */
  async start(name = 'mcp', env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { module = workerServer, fd, prefix = [], flags = [], level = 'warn', log, ended } = this.#options;
    const command = [process.execPath, cli, 'serve', module, '--log-level', level, '--name', name, ...flags];
    const [file = '', ...args] = [...(fd === undefined ? prefix : ['sh', '-c', ACTIVATED]), ...command];
    const store = this.#store === undefined ? {} : { SOJOURN_STORE: this.#store };
    const child = spawn(file, args, {
      // Without workers the process that serves is killed and frozen.
      env: { ...inherited, SOJOURN_PORT: String(this.port), SOJOURN_WORKERS: '0', ...store, ...env },
      stdio: ['pipe', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
    }) as ChildProcessByStdio<null, Readable, Readable>;
    this.#child = child;
    this.#last = child;
    running.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-20_000)));
    if (log !== undefined) child.stderr.on('data', log);
    let listens = false;
    child.once('exit', (code, signal) => {
      running.delete(child);
      if (this.#child !== child || !listens) return;
      this.#child = undefined;
      ended?.(`it ended with ${code ?? signal}: ${output}`);
    });
    const isListening = (): boolean => {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`ended with ${child.exitCode ?? child.signalCode}: ${output}`);
      return (listens = output.includes('Stop with'));
    };
    await until(isListening, { timeoutMs: START_MS, what: 'an instance to listen' }).catch((cause: unknown) => {
      throw new Error(`it does not listen: ${output}`, { cause });
    });
  }

  /** SIGTERM: it drains. Resolves with its exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    this.#child = undefined;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = once(child, 'close') as Promise<[number | null]>;
    child.kill(signal);
    return (await ended)[0];
  }
}

export interface Fleet {
  readonly instances: readonly DeployedInstance[];
  readonly ports: readonly number[];
  close(): Promise<void>;
}

/** On a new SQLite file unless another store is named. */
export async function startFleet(
  size: number,
  store?: string,
  options: (n: number) => InstanceOptions = () => ({}),
): Promise<Fleet> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-deployed-'));
  const url = store ?? `sqlite:${join(folder, 's.db')}`;
  const instances: DeployedInstance[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(instances.map((instance) => instance.kill()));
    rmSync(folder, { recursive: true, force: true });
  };
  for (let n = 0; n < size; n++) instances.push(new DeployedInstance(await freePort(), url, options(n)));
  try {
    await Promise.all(instances.map((instance) => instance.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return { instances, ports: instances.map(({ port }) => port), close };
}
