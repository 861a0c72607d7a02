/** Requests of a client with tasks, and the instances that they go to. */
import { Connection } from './connection.ts';
import { bytesOf } from './raw-session.ts';
import { type Load, modernLoad } from './requests.ts';
import type { Runtime } from './runtimes.ts';
import { ServerProcess } from './server-process.ts';

/** What a client with tasks declares in each request. */
export const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} }, elicitation: { form: {} } };

export const callOf = (port: number, tool: string, text = ''): Load =>
  modernLoad(port, 'tools/call', tool, { name: tool, arguments: { text } }, TASKS);

export const getOf = (port: number, taskId: string): Load => modernLoad(port, 'tasks/get', taskId, { taskId }, TASKS);

/** More than any part of the bench makes. */
const MANY = 10_000_000;

interface Instance {
  /** Instances of one name share tasks. */
  readonly name?: string;
  /** The option; by default no limit is reached. */
  readonly tasks?: unknown;
  /** The times of the store are noted. */
  readonly notes?: boolean;
}

export function startInstance(
  runtime: Runtime,
  url: string,
  { name = 'bench', tasks = { limits: { anonymous: MANY, running: MANY } }, notes = false }: Instance = {},
): Promise<ServerProcess> {
  return ServerProcess.start(runtime, {
    script: 'ours-tasks.mjs',
    nodeFlags: ['--expose-gc'],
    env: { BENCH_STORE: url, BENCH_OPTIONS: JSON.stringify({ name, tasks }), ...(notes && { BENCH_NOTES: '1' }) },
  });
}

/** One request, sent repeatedly on a connection of its own. */
export class Repeated {
  readonly #connection: Connection;
  readonly #bytes: string;
  /** In each answer. */
  readonly #expected: string;

  private constructor(connection: Connection, bytes: string, expected: string) {
    this.#connection = connection;
    this.#bytes = bytes;
    this.#expected = expected;
  }

  static async open(load: Load, expected: string): Promise<Repeated> {
    return new Repeated(await Connection.open(load.port), bytesOf(load), expected);
  }

  /** Returns the body of the answer. */
  async send(): Promise<string> {
    const { body } = await this.#connection.send(this.#bytes);
    if (!body.includes(this.#expected)) throw new Error(`no ${this.#expected}: ${body}`);
    return body;
  }

  close(): void {
    this.#connection.close();
  }
}

const AT_ONCE = 16;

/** Creates so many tasks with calls of `tool`. Returns the id of the last. */
export async function createTasks(port: number, tool: string, count: number, text = ''): Promise<string> {
  let left = count;
  let id = '';
  const some = async (): Promise<void> => {
    const call = await Repeated.open(callOf(port, tool, text), '"resultType":"task"');
    while (left > 0) {
      left -= 1;
      id = /"taskId":"([^"]+)"/.exec(await call.send())?.[1] ?? '';
    }
    call.close();
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, some));
  return id;
}
