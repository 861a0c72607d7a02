import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cpuUsOf, hasCounters } from './usage.ts';
import type { Side } from './works.ts';

export interface Node {
  /** The binary that runs the servers. */
  readonly path: string;
  readonly flags: readonly string[];
}

const EXIT_MS = 5_000;

/** One side: a plain `node` process that runs a script of `bench/servers/`, and answers over its IPC channel. */
export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(
    node: Node,
    { script, env = {} }: Pick<Side, 'script' | 'env'>,
  ): Promise<ServerProcess> {
    const path = fileURLToPath(new URL(`servers/${script}`, import.meta.url));
    const child = spawn(node.path, [...node.flags, path], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // NODE_OPTIONS would carry the harness's own loader into the server.
      env: { ...process.env, NODE_OPTIONS: '', NODE_ENV: 'production', ...env },
    });
    const { port } = await message<{ port: number }>(child, script);
    return new ServerProcess(child, port);
  }

  async ask<T>(question: string): Promise<T> {
    const answer = message<{ answer: T }>(this.#child, question);
    this.#child.send({ ask: question });
    return (await answer).answer;
  }

  /** CPU time so far. */
  async cpuUs(): Promise<number> {
    if (hasCounters) return cpuUsOf(this.#child.pid as number);
    const { user, system } = await this.ask<NodeJS.CpuUsage>('cpu');
    return user + system;
  }

  /** The server exits by itself when the channel closes. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    const stuck = setTimeout(() => this.#child.kill('SIGKILL'), EXIT_MS);
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
    const [value] = (await Promise.race([
      once(child, 'message', { signal: stopped.signal }),
      exited,
    ])) as [T];
    return value;
  } finally {
    stopped.abort();
    exited.catch(() => {});
  }
}
