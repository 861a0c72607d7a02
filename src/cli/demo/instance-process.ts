/**
 * One process of the demo: `sojourn serve` on the one side, the SDK's transport on the other.
 *
 * A process that ends without an order is `ended`. Each start has another port.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { follow, type Transitions } from '../../base/transitions.ts';
import { Failure } from '../failure.ts';
import type { Upstream } from './front.ts';
import { NAME_VARIABLE } from './instance-names.ts';

export type InstanceState = 'starting' | 'serving' | 'frozen' | 'draining' | 'drained' | 'killed' | 'ended';

const STATES: Transitions<InstanceState> = {
  starting: ['serving', 'ended'],
  serving: ['frozen', 'draining', 'killed', 'ended'],
  frozen: ['serving', 'killed', 'ended'],
  draining: ['drained', 'killed'],
  drained: ['starting'],
  killed: ['starting'],
  ended: ['starting'],
};

export interface InstanceHost {
  /** The process with this id was started. */
  started(pid: number): void;
  /** It has ended. `before`: the state in which it ended. */
  ended(instance: DemoInstance, pid: number, before: InstanceState): void;
  /** What it said on its channel. */
  said(instance: DemoInstance, message: unknown): void;
}

/** How its process is started. */
interface InstanceProgram {
  /** Those of `node`. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Longer than a start on a busy machine. */
const START_MS = 30_000;
const WORDS = 2_000;
const IS_WINDOWS = process.platform === 'win32';

/** A child must not take settings of the user's own server, or a debugger's port. */
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(SOJOURN_|NODE_OPTIONS$|NODE_USE_ENV_PROXY$)/i.test(name)),
);

export class DemoInstance implements Upstream {
  readonly name: string;
  readonly #program: InstanceProgram;
  readonly #host: InstanceHost;
  #state: InstanceState = 'drained';
  #since = performance.now();
  #child: ChildProcess | undefined;
  #port: number | undefined;
  #closed = false;
  /** Its last words on stderr. */
  #words = '';

  constructor(name: string, program: InstanceProgram, host: InstanceHost) {
    this.name = name;
    this.#program = program;
    this.#host = host;
  }

  get state(): InstanceState {
    return this.#state;
  }

  /** When it came into this state, as `performance.now()`. */
  get since(): number {
    return this.#since;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** `undefined`: it does not run. */
  get port(): number | undefined {
    return this.#port;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Resolves when it listens; at once if it runs already. */
  async start(): Promise<void> {
    if (this.#child !== undefined || this.#closed) return;
    const child = spawn(process.execPath, this.#program.args, {
      env: { ...inherited, ...this.#program.env, [NAME_VARIABLE]: this.name },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A terminal sends its signals to the demo alone.
      detached: !IS_WINDOWS,
      windowsHide: true,
    });
    const { pid } = child;
    if (pid === undefined) throw new Failure(`the demo cannot start a process: ${process.execPath}`);
    this.#child = child;
    this.#words = '';
    this.#become('starting');
    this.#host.started(pid);
    child.on('message', (message) => this.#host.said(this, message));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-WORDS);
    });
    const exited = new Promise<void>((resolve) => {
      child.once('exit', () => {
        const before = this.#state;
        this.#child = undefined;
        this.#port = undefined;
        if (before === 'draining') this.#become('drained');
        else if (before !== 'killed') this.#become('ended');
        this.#host.ended(this, pid, before);
        resolve();
      });
    });
    await Promise.race([this.#listens(child), exited.then(() => this.#refuse())]);
    if (this.#state === 'starting') this.#become('serving');
  }

  /** False: its state does not allow it. */
  kill(): boolean {
    if (this.#child === undefined || !STATES[this.#state].includes('killed')) return false;
    this.#become('killed');
    return this.#child.kill('SIGKILL');
  }

  freeze(): boolean {
    if (this.#child === undefined || this.#state !== 'serving') return false;
    this.#become('frozen');
    return this.#child.kill('SIGSTOP');
  }

  unfreeze(): boolean {
    if (this.#child === undefined || this.#state !== 'frozen') return false;
    this.#become('serving');
    return this.#child.kill('SIGCONT');
  }

  drain(): boolean {
    if (this.#child === undefined || this.#state !== 'serving') return false;
    this.#become('draining');
    return IS_WINDOWS ? this.#child.send('drain') : this.#child.kill('SIGTERM');
  }

  /** Its channel may be closed. */
  tell(message: object): void {
    if (this.#child?.connected === true) this.#child.send(message, () => {});
  }

  /** Kills it for good. */
  close(): void {
    this.#closed = true;
    this.#child?.kill('SIGKILL');
  }

  #become(state: InstanceState): void {
    this.#state = follow(STATES, this.#state, state);
    this.#since = performance.now();
  }

  #refuse(): void {
    if (this.#closed || this.#state === 'killed') return;
    throw new Failure(`instance ${this.name} of the demo does not start: ${this.#words.trim() || 'it ended'}`);
  }

  /** The banner of `serve` has its port; the other side reports it. */
  #listens(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      let output = '';
      const timer = setTimeout(() => {
        reject(new Failure(`instance ${this.name} of the demo did not start within ${START_MS / 1_000} s`));
      }, START_MS);
      const found = (port: unknown): void => {
        if (typeof port !== 'number' || !(port > 0)) return;
        this.#port = port;
        clearTimeout(timer);
        resolve();
      };
      child.once('exit', () => clearTimeout(timer));
      child.on('message', (message) => found((message as { readonly port?: unknown }).port));
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        if (this.#port !== undefined) return;
        output += text;
        found(Number(/^ {2}endpoint +http:\/\/[^:]+:(\d+)\//m.exec(output)?.[1]));
      });
    });
  }
}
