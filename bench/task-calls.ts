/**
 * CPU of a call to a tool that is no task, by a client that declares tasks, at servers with and without the option. Many
 * short slices take turns, because two per cent are less than what a busy machine changes from second to second. The
 * second server without the option shows how much equal servers differ.
 */
import { Connection } from './connection.ts';
import { bytesOf } from './raw-session.ts';
import { modernCalls } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import type { ServerProcess } from './server-process.ts';
import { type Summary, summarize } from './statistics.ts';
import { startInstance, TASKS } from './task-client.ts';

export interface TaskCalls {
  readonly slices: number;
  readonly rows: ReadonlyArray<{
    readonly title: string;
    /** CPU µs of the server for one call. */
    readonly cpuUs: number;
    /** CPU over that of the first server in the same slice. */
    readonly ratio: Summary;
  }>;
}

const SIDES = [
  { title: 'without the option', tasks: false },
  { title: 'with it', tasks: true },
  { title: 'without it, once more', tasks: false },
] as const;
const CLIENTS = 16;
const CALLS_EACH = 25;
const SLICES = 20;

/** One of the servers, with its clients. */
class Side {
  readonly us: number[] = [];
  readonly #server: ServerProcess;
  readonly #connections: readonly Connection[];
  readonly #bytes: string;

  private constructor(server: ServerProcess, connections: readonly Connection[], bytes: string) {
    this.#server = server;
    this.#connections = connections;
    this.#bytes = bytes;
  }

  static async open(runtime: Runtime, url: string, name: string, tasks: boolean): Promise<Side> {
    const server = await startInstance(runtime, url, { name, tasks });
    const load = await modernCalls(server.port, TASKS);
    const connections = await Promise.all(Array.from({ length: CLIENTS }, () => Connection.open(server.port)));
    return new Side(server, connections, bytesOf(load));
  }

  async slice(): Promise<void> {
    const before = await this.#server.cpuTime();
    await Promise.all(
      this.#connections.map(async (connection) => {
        for (let call = 0; call < CALLS_EACH; call++) {
          const { status } = await connection.send(this.#bytes);
          if (status !== 200) throw new Error(`a call was answered with ${String(status)}`);
        }
      }),
    );
    const after = await this.#server.cpuTime();
    const us = after.user - before.user + after.system - before.system;
    this.us.push(us / (CLIENTS * CALLS_EACH));
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.close();
    await this.#server.stop();
  }
}

export async function measureCalls(
  runtime: Runtime,
  url: string,
  rounds: number,
  progress: (text: string) => void,
): Promise<TaskCalls> {
  const sides: Side[] = [];
  try {
    for (const [n, { tasks }] of SIDES.entries()) sides.push(await Side.open(runtime, url, `side-${String(n)}`, tasks));
    // The first round warms up.
    for (let slice = 0; slice < (rounds + 1) * SLICES; slice++) {
      if (slice === SLICES) for (const { us } of sides) us.length = 0;
      progress(`calls, slice ${String(slice)} of ${String((rounds + 1) * SLICES)}`);
      for (let turn = 0; turn < sides.length; turn++) await sides[(slice + turn) % sides.length]?.slice();
    }
    const [{ us: first } = { us: [] }] = sides;
    return {
      slices: first.length,
      rows: sides.map(({ us }, n) => ({
        title: SIDES[n]?.title ?? '',
        cpuUs: summarize(us).median,
        ratio: summarize(us.map((value, slice) => value / (first[slice] ?? Number.NaN))),
      })),
    };
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
}
