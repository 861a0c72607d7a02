/** The processes of one side on their ports, started again when they have ended, with nginx in front. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { inherited } from '../../test/kit/child-process.ts';
import { freePort } from '../../test/kit/free-port.ts';
import { connecting } from '../../test/kit/listening.ts';
import { until } from '../../test/kit/until.ts';
import { AFFINITY, type Proxy, startNginx } from '../../test/pages/deploy/nginx.ts';
import { treeOf } from '../../src/base/processes.ts';
import type { Place, Side } from './sides.ts';

/** As Kubernetes: whatever has not ended so long after SIGTERM is killed. */
const GRACE_MS = 30_000;
const START_MS = 60_000;

/** Without the line that sends a POST again: where the processes do not know it, tools would run twice. */
const ONCE = (text: string): string => text.replace('"~^POST  [^ ]+$" 1;', '');

const groups = new Set<number>();
function killGroup(pid: number): void {
  groups.delete(pid);
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
process.once('exit', () => {
  for (const pid of groups) killGroup(pid);
});

class SideProcess {
  readonly #side: Side;
  readonly #place: Place;
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: number;
  #child: ChildProcess | undefined;

  constructor(side: Side, place: Place, env: NodeJS.ProcessEnv, log: number) {
    this.#side = side;
    this.#place = place;
    this.#env = env;
    this.#log = log;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const { port } = this.#place;
    const [program = '', ...args] = this.#side.command(this.#place);
    const env = { ...inherited, NODE_ENV: 'production', ...this.#env, PORT: `${port}` };
    const stdio = ['ignore', this.#log, this.#log] as const;
    this.#child = spawn(program, args, { detached: true, stdio: [...stdio], env });
    groups.add(this.pid);
    await until(
      async () => {
        if (this.#hasEnded()) throw new Error(`${this.#side.id} ended while it started`);
        return (await connecting(port)) === 'connected';
      },
      { timeoutMs: START_MS, what: `${this.#side.id} to listen` },
    );
    if (this.#side.isSupervised) await this.#newWorker([]);
  }

  async deploy(): Promise<void> {
    if (this.#side.isSupervised) {
      const old = this.#workers();
      this.#child?.kill('SIGHUP');
      return this.#newWorker(old);
    }
    const child = this.#child as ChildProcess;
    child.kill('SIGTERM');
    await Promise.race([this.#ended(), pause(GRACE_MS, undefined, { ref: false })]);
    killGroup(this.pid);
    await this.start();
  }

  /** SIGKILL, of the process that serves where a supervisor starts it again. */
  async kill(): Promise<void> {
    if (this.#side.isSupervised) {
      const old = this.#workers();
      for (const pid of old) process.kill(pid, 'SIGKILL');
      return this.#newWorker(old);
    }
    killGroup(this.pid);
    await this.#ended();
    await this.start();
  }

  async end(): Promise<void> {
    const tree = treeOf([this.pid]);
    killGroup(this.pid);
    for (const { pid } of tree) killGroup(pid);
    await this.#ended();
  }

  #hasEnded(): boolean {
    return this.#child?.exitCode !== null || this.#child.signalCode !== null;
  }

  async #ended(): Promise<void> {
    if (this.#child !== undefined && !this.#hasEnded()) await once(this.#child, 'exit');
  }

  /** The processes that serve: children of the supervisor. */
  #workers(): readonly number[] {
    return treeOf([this.pid])
      .filter(({ parent }) => parent === this.pid)
      .map(({ pid }) => pid);
  }

  async #newWorker(old: readonly number[]): Promise<void> {
    await until(
      () => {
        const now = this.#workers();
        return now.length > 0 && now.every((pid) => !old.includes(pid));
      },
      { timeoutMs: START_MS, what: 'a new worker alone' },
    );
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
    await this.#proxy.close();
  }
}
