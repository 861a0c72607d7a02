/** Real `sojourn serve` processes on one store, each on a port that it keeps when it is started again. */
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { freePort } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const deployedServer = fileURLToPath(new URL('processes/deployed-server.mjs', import.meta.url));

/** The variables of the test run itself, and what npm adds, are not theirs. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SOJOURN_|npm_|NODE_OPTIONS$|VITEST)/.test(name)),
);

export interface InstanceOptions {
  /** The server's module; default: `processes/deployed-server.mjs`. */
  readonly module?: string;
  /** A listening socket that is passed to it. */
  readonly fd?: number | undefined;
  /** Further flags. */
  readonly flags?: readonly string[];
}

/** Only the process itself knows the id that it will have; `exec` keeps it. */
const ACTIVATED = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"';

export class DeployedInstance {
  readonly port: number;
  readonly #store: string;
  readonly #options: InstanceOptions;
  #child: ChildProcess | undefined;

  constructor(port: number, store: string, options: InstanceOptions = {}) {
    this.port = port;
    this.#store = store;
    this.#options = options;
  }

  /** Resolves when it listens. Instances of one `name` share their sessions. */
  async start(name = 'mcp'): Promise<void> {
    const { module = deployedServer, fd, flags = [] } = this.#options;
    const command = [process.execPath, cli, 'serve', module, '--log-level', 'warn', '--name', name, ...flags];
    const [file = '', ...args] = fd === undefined ? command : ['sh', '-c', ACTIVATED, ...command];
    const child = spawn(file, args, {
      env: { ...inherited, SOJOURN_PORT: String(this.port), SOJOURN_STORE: this.#store, SOJOURN_WORKERS: '0' },
      stdio: ['ignore', 'pipe', 'pipe', ...(fd === undefined ? [] : [fd])],
    }) as ChildProcessByStdio<null, Readable, Readable>;
    this.#child = child;
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-20_000)));
    }
    const listens = (): boolean => {
      if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${output}`);
      return output.includes('Stop with');
    };
    await until(listens, { timeoutMs: 20_000, what: 'an instance to listen' });
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
    const ended = once(child, 'close') as Promise<[number | null]>;
    this.#child = undefined;
    child.kill(signal);
    return (await ended)[0];
  }
}

export interface Fleet {
  readonly instances: readonly DeployedInstance[];
  readonly ports: readonly number[];
  close(): Promise<void>;
}

/** On a SQLite file of their own unless another store is named. */
export async function startFleet(size: number, store?: string): Promise<Fleet> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-deployed-'));
  const url = store ?? `sqlite:${join(folder, 's.db')}`;
  const instances: DeployedInstance[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(instances.map((instance) => instance.kill()));
    rmSync(folder, { recursive: true, force: true });
  };
  for (let n = 0; n < size; n++) instances.push(new DeployedInstance(await freePort(), url));
  try {
    await Promise.all(instances.map((instance) => instance.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return { instances, ports: instances.map(({ port }) => port), close };
}
