/** The processes of one side on their ports, started again when they have ended, with nginx in front. */
import { openSync } from 'node:fs';
import { ServerProcess } from '../../src/cli/prove/server-process.ts';
import { endGuard, sweepRemains } from '../../src/stdio/remains.ts';
import { inherited } from '../../test/kit/child-process.ts';
import { freePort } from '../../test/kit/free-port.ts';
import { AFFINITY, type Proxy, startNginx } from '../../test/pages/deploy/nginx.ts';
import type { Place, Side } from './sides.ts';

/** As Kubernetes: whatever has not ended so long after SIGTERM is killed. */
const GRACE_MS = 30_000;

/** Without the line that sends a POST again: where the processes do not know it, tools would run twice. */
const ONCE = (text: string): string => text.replace('"~^POST  [^ ]+$" 1;', '');

class SideProcess {
  readonly #port: number;
  readonly #process: ServerProcess;

  constructor(side: Side, place: Place, env: NodeJS.ProcessEnv, log: number) {
    this.#port = place.port;
    this.#process = new ServerProcess({
      name: side.id,
      env: { ...inherited, NODE_ENV: 'production', ...env },
      stdio: ['ignore', log, log],
      words: (port) => side.command({ ...place, port }),
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    await this.#process.start(this.#port);
  }

  async deploy(): Promise<void> {
    await this.#process.drain(GRACE_MS);
    await this.start();
  }

  async kill(): Promise<void> {
    await this.#process.kill();
    await this.start();
  }

  end(): Promise<void> {
    return this.#process.kill();
  }
}

export class Deployment {
  readonly #processes: readonly SideProcess[];
  readonly #proxy: Proxy;

  private constructor(processes: readonly SideProcess[], proxy: Proxy) {
    this.#processes = processes;
    this.#proxy = proxy;
  }

  /** `runs`: the file of what ran; `log`: gets what the processes print. */
  static async start(
    side: Side,
    { store, rivals }: Omit<Place, 'port'>,
    { runs, log }: { readonly runs: string; readonly log: string },
  ): Promise<Deployment> {
    const file = openSync(log, 'a');
    const ports = await Promise.all(Array.from({ length: side.processes }, () => freePort()));
    const processes = ports.map(
      (port) => new SideProcess(side, { port, store, rivals }, { RUNS: runs }, file),
    );
    await Promise.all(processes.map((one) => one.start()));
    const edit = side.knowsAttempts ? {} : { edit: ONCE };
    return new Deployment(processes, await startNginx(AFFINITY, ports, edit));
  }

  get url(): string {
    return this.#proxy.url;
  }

  /** For the meter. */
  get roots(): readonly number[] {
    return this.#processes.map(({ pid }) => pid);
  }

  async deploy(): Promise<void> {
    for (const one of this.#processes) await one.deploy();
  }

  async kill(n: number): Promise<void> {
    await this.#processes[n % this.#processes.length]?.kill();
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.end()));
    sweepRemains([]);
    endGuard();
    await this.#proxy.close();
  }
}
