/** One of the two instances: its process, what it reports of its runs, and what befalls it. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { reason } from '../failure.ts';
import { LOOK_MS, type Report } from './reporting.ts';
import { type ServerCommand, ServerProcess } from './server-process.ts';

/** A run of a tool in a process. */
export interface ToolRun {
  readonly pid: number;
  readonly tool: string;
  readonly call: string;
  readonly began: number;
  /** `undefined`: its process ended first. */
  end?: Extract<Report, { readonly prove: 'ended' }>;
}

/** What an instance did that its server is to blame for. */
export interface Fault {
  readonly kind: 'blocked' | 'late drain' | 'ended';
  readonly instance: number;
  readonly ms: number;
  /** What ran then. */
  readonly tools: readonly string[];
  /** Its last words. */
  readonly words: string;
}

/** What all instances logged, in order. */
export interface InstanceLog {
  readonly runs: ToolRun[];
  readonly faults: Fault[];
}

const WORDS = 2_000;
const START_TRIES = 3;
/** A drain may exceed its time by this. */
const GRACE_MS = 5_000;
/** Then a drain takes nearly too long: what runs is to blame. */
const LATE_PART = 0.9;
/** How many ended runs may have blocked the loop. */
const LAST = 16;

export class ProvedInstance {
  readonly number: number;
  readonly #process: ServerProcess;
  readonly #log: InstanceLog;
  readonly #running = new Map<string, ToolRun>();
  /** The last that ended, which may have blocked the loop until then. */
  #ended: readonly ToolRun[] = [];
  /** Whatever ends, freezes or starves it now is not the fault of its server. */
  isStruck = true;
  #isClosed = false;
  #words = '';
  /** Every process that it had. */
  readonly pids: number[] = [];

  constructor(number: number, command: Omit<ServerCommand, 'started'>, log: InstanceLog) {
    this.number = number;
    this.#log = log;
    this.#process = new ServerProcess({ ...command, started: (child) => this.#started(child) });
  }

  get port(): number {
    return this.#process.port;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The tools that run now. */
  get running(): readonly string[] {
    return toolsOf([...this.#running.values()]);
  }

  /** Rejects with its last words. */
  async start(): Promise<void> {
    for (let tries = 1; !this.#isClosed; tries++)
      try {
        await this.#process.start(await freePort());
        this.isStruck = false;
        return;
      } catch (cause) {
        // Another program took the port in between.
        if (tries < START_TRIES && this.#words.includes('is in use')) continue;
        throw new Error(this.#words.trim() || reason(cause), { cause });
      }
  }

  #started(child: ChildProcess): void {
    const { pid = 0 } = child;
    this.pids.push(pid);
    this.#running.clear();
    this.#words = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-WORDS);
    });
    child.on('message', (report: Report) => this.#reported(pid, report));
    child.once('exit', () => {
      if (this.isStruck) return;
      this.#fault('ended', 0, this.running);
      this.isStruck = true;
      // The next start says why it fails.
      this.start().catch(() => {});
    });
  }

  #reported(pid: number, report: Report): void {
    if (report.prove === 'blocked') {
      const from = performance.now() - report.ms;
      const ran = [...this.#running.values(), ...this.#ended].filter(
        ({ began }) => began <= from + LOOK_MS,
      );
      if (!this.isStruck) this.#fault('blocked', report.ms, toolsOf(ran));
      return;
    }
    const key = `${report.call} ${report.tool}`;
    if (report.prove === 'began') {
      const run: ToolRun = { pid, tool: report.tool, call: report.call, began: performance.now() };
      this.#running.set(key, run);
      this.#log.runs.push(run);
      return;
    }
    const run = this.#running.get(key);
    if (run === undefined) return;
    run.end = report;
    this.#running.delete(key);
    this.#ended = [run, ...this.#ended.slice(0, LAST - 1)];
  }

  #fault(kind: Fault['kind'], ms: number, tools: readonly string[]): void {
    const words = this.#words.trim().split('\n').at(-1) ?? '';
    this.#log.faults.push({ kind, instance: this.number, ms, tools, words });
  }

  /** Stops it as a deploy does. Resolves with how long it took to end. */
  async drain(timeoutMs: number): Promise<number> {
    this.isStruck = true;
    const begun = performance.now();
    let late: readonly string[] = [];
    const timer = setTimeout(() => (late = this.running), timeoutMs * LATE_PART);
    await this.#process.drain(timeoutMs + GRACE_MS);
    clearTimeout(timer);
    const ms = Math.round(performance.now() - begun);
    if (ms >= timeoutMs) this.#fault('late drain', ms, late);
    return ms;
  }

  async kill(): Promise<void> {
    this.isStruck = true;
    await this.#process.kill();
  }

  freeze(): void {
    this.isStruck = true;
    this.#process.signal('SIGSTOP');
  }

  wake(): void {
    this.#process.signal('SIGCONT');
  }

  /** It does not start again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.kill();
  }
}

const toolsOf = (runs: readonly ToolRun[]): readonly string[] => [
  ...new Set(runs.map(({ tool }) => tool)),
];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
