/**
 * One server of one version of the SDK, on SQLite: each client connects, calls and is asked, and one begins a task.
 * Then the process is killed, another one takes its port, and each client does the same again. The task continues.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../kit/free-port.ts';
import { until } from '../kit/until.ts';
import type { ClientKind, SdkClient } from './sdk-clients.ts';

export interface Sdk {
  readonly name: '@modelcontextprotocol/sdk' | '@modelcontextprotocol/server';
  /** `undefined`: a bundle, which does not say. */
  readonly version: string | undefined;
  /** Where the files of its build are. */
  readonly folder: string;
}

export type ClassName = 'McpServer' | 'Server';
export type Way = 'factory' | 'object';

export interface SdkCase {
  readonly sdk: Sdk;
  readonly className: ClassName;
  readonly way: Way;
}

export interface Outcome {
  /** What the process ended with before it listened. */
  readonly refused: string | undefined;
  /** By the name of the client: the era in which it was served, or what went wrong. */
  readonly seen: Readonly<Record<string, string>>;
  /** Errors in the log. */
  readonly errors: readonly string[];
}

const program = fileURLToPath(new URL('processes/sdk-server.mjs', import.meta.url));
const START_MS = 30_000;

class SdkServer {
  readonly #child;
  readonly #ended;
  log = '';

  constructor({ sdk, className, way }: SdkCase, database: string, port: string) {
    const args = [program, sdk.folder, className, way, database, port];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    this.#ended = once(this.#child, 'close');
  }

  /** `undefined`: the process ended before. */
  async url(): Promise<string | undefined> {
    const found = (): string | undefined => /^\{"url":"(.*)"\}$/m.exec(this.log)?.[1];
    await until(() => found() !== undefined || this.#child.exitCode !== null, { timeoutMs: START_MS });
    if (found() === undefined) await this.#ended;
    return found();
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

export async function trySdk(one: SdkCase, kinds: readonly ClientKind[]): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-sdk-'));
  const database = join(folder, 'sessions.db');
  const clients: SdkClient[] = [];
  let server = new SdkServer(one, database, String(await freePort()));
  try {
    const url = await server.url();
    if (url === undefined) return { refused: refusalIn(server.log), seen: {}, errors: [] };
    const seen: Record<string, string> = {};
    const firsts = new Map<ClientKind, readonly [SdkClient, Answer, film: (() => Promise<string>) | undefined]>();
    for (const kind of kinds) {
      await noting(seen, kind, async () => {
        const client = await kind.connect(url);
        clients.push(client);
        firsts.set(kind, [client, await use(client), await client.film?.()]);
      });
    }
    const { log } = server;
    await server.kill();
    server = new SdkServer(one, database, new URL(url).port);
    await server.url();
    for (const [kind, [client, first, film]] of firsts) {
      await noting(seen, kind, async () => {
        const next = await use(client);
        if (next.pid === first.pid) throw new Error('the killed process answered');
        if (client.era === '2025' && next.calls !== first.calls + 1) throw new Error('the session has lost its state');
        const made = await film?.();
        if (made !== undefined && made !== `${first.pid} ${next.pid}`) throw new Error(`the task ended with ${made}`);
        seen[kind.name] = client.era;
      });
    }
    return { refused: undefined, seen, errors: errorsIn(log + server.log) };
  } finally {
    await Promise.allSettled(clients.map((client) => client.close()));
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function noting(seen: Record<string, string>, { name }: ClientKind, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    seen[name] = `failed: ${(error as Error).message}`;
  }
}

interface Answer {
  readonly pid: number;
  readonly calls: number;
}

async function use(client: SdkClient): Promise<Answer> {
  const { text, progressed } = await client.echo('hello');
  const [said, pid, calls, reported] = text.split(' ');
  if (said !== 'hello') throw new Error(`echo answered ${text}`);
  if (progressed !== undefined && progressed !== (reported === 'reported'))
    throw new Error(progressed ? 'progress that was not reported' : 'the reported progress did not come');
  if (client.ask !== undefined && client.tools.includes('ask')) {
    const colour = await client.ask();
    if (colour !== 'blue') throw new Error(`ask answered ${colour}`);
  }
  return { pid: Number(pid), calls: Number(calls) };
}

const refusalIn = (log: string): string => /^\w*Error: .*$/m.exec(log)?.[0] ?? log;

const errorsIn = (log: string): string[] => [
  ...new Set(log.split('\n').filter((line) => /^sojourn: (error|fatal):/.test(line))),
];
