/** Real `sojourn serve` processes on one store, each on a port that it keeps when it is started again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { activated, inherited, spawnNode } from '../../kit/child-process.ts';
import { freePort } from '../../kit/free-port.ts';

const cli = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const workerServer = fileURLToPath(
  new URL('../../cli/processes/worker-server.mjs', import.meta.url),
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
  readonly env?: Readonly<Record<string, string>>;
  /** Gets its log as it comes. */
  readonly log?: (text: string) => void;
  /** It ended, and no test has stopped it. */
  readonly ended?: (how: string) => void;
}

export class DeployedInstance {
  readonly port: number;
  readonly #store: string | undefined;
  readonly #options: InstanceOptions;
  /** The process that was started last, also when it has ended. */
  #last: ReturnType<typeof spawnNode> | undefined;
  /** It was started, and no test has stopped it. */
  #isWanted = false;

  /** `store`: a URL; undefined where its module makes one. */
  constructor(port: number, store: string | undefined, options: InstanceOptions = {}) {
    this.port = port;
    this.#store = store;
    this.#options = options;
  }

  get running(): boolean {
    return this.#isWanted && this.#last?.alive() === true;
  }

  /** Of the process that was started last. */
  get pid(): number | undefined {
    return this.#last?.child.pid;
  }

  get exitCode(): number | null | undefined {
    return this.#last?.child.exitCode;
  }

  /** Resolves when it listens. Instances of one `name` share their sessions. */
  async start(name = 'mcp', env: Readonly<Record<string, string>> = {}): Promise<void> {
    const {
      module = workerServer,
      fd,
      prefix = [],
      flags = [],
      level = 'warn',
      env: set,
      log,
      ended,
    } = this.#options;
    const command = [
      process.execPath,
      cli,
      'serve',
      module,
      '--log-level',
      level,
      '--deployment',
      name,
      ...flags,
    ];
    const [program = '', ...args] = activated([...prefix, ...command], fd);
    const store = this.#store === undefined ? {} : { SOJOURN_STORE: this.#store };
    // Without workers the process that serves is killed and frozen.
    const own = { SOJOURN_PORT: String(this.port), SOJOURN_WORKERS: '0', ...store, ...set, ...env };
    const started = spawnNode(args, { program, fd, hasInput: true, env: { ...inherited, ...own } });
    const { child, output, closed, says } = started;
    this.#last = started;
    this.#isWanted = true;
    if (log !== undefined) child.stderr.on('data', log);
    await says(/Stop with/);
    void closed.then(([code, signal]) => {
      if (!this.#isWanted || this.#last !== started) return;
      ended?.(`it ended with ${code ?? signal}: ${output.stderr.slice(-20_000)}`);
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
    if (this.#isWanted) this.#last?.child.kill('SIGSTOP');
  }

  thaw(): void {
    if (this.#isWanted) this.#last?.child.kill('SIGCONT');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.#isWanted) return null;
    this.#isWanted = false;
    return (await this.#last?.stop(signal)) ?? null;
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
  for (let n = 0; n < size; n++)
    instances.push(new DeployedInstance(await freePort(), url, options(n)));
  try {
    await Promise.all(instances.map((instance) => instance.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return { instances, ports: instances.map(({ port }) => port), close };
}
