import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Runtime } from './runtimes.ts';

export interface ServerScript {
  /** A file of `bench/servers/`. */
  readonly script: string;
  readonly args?: readonly string[];
  readonly nodeFlags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface CpuTime {
  readonly user: number;
  readonly system: number;
}

const exitMs = 2_000;

/**
 * One side: a plain `node` process that runs a script of `bench/servers/`. The harness uses its IPC channel between
 * rounds.
 */
export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(runtime: Runtime, server: ServerScript): Promise<ServerProcess> {
    const script = fileURLToPath(new URL(`servers/${server.script}`, import.meta.url));
    const child = spawn(runtime.path, [...(server.nodeFlags ?? []), script, ...(server.args ?? [])], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // NODE_OPTIONS would carry the harness's own loader into the server.
      env: { ...process.env, NODE_OPTIONS: '', NODE_ENV: 'production', ...server.env },
    });
    const { port } = await message<{ port: number }>(child, server.script);
    return new ServerProcess(child, port);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask<T>(question: string, params: Readonly<Record<string, unknown>> = {}): Promise<T> {
    const answer = message<{ answer: T }>(this.#child, question);
    this.#child.send({ ask: question, ...params });
    return (await answer).answer;
  }

  async cpuTime(): Promise<CpuTime> {
    return this.ask<CpuTime>('cpu');
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    // The server exits by itself when the channel closes, and removes its files.
    this.#child.disconnect();
    const stuck = setTimeout(() => this.#child.kill('SIGKILL'), exitMs);
    await exited;
    clearTimeout(stuck);
  }
}

async function message<T>(child: ChildProcess, what: string): Promise<T> {
  const stopped = new AbortController();
  const exited = once(child, 'exit', { signal: stopped.signal }).then(([code, signal]) => {
    throw new Error(`${what}: the server process ended (${String(code ?? signal)})`);
  });
  try {
    const received = once(child, 'message', { signal: stopped.signal });
    const [value] = (await Promise.race([received, exited])) as [T];
    return value;
  } finally {
    stopped.abort();
    exited.catch(() => {});
  }
}
