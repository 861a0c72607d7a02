/**
 * One instance of a lab: an endpoint on the lab's store and clock, and the connections of its clients.
 *
 *     serving ──freeze──▶ frozen ──wake──▶ serving
 *        ├──drain, stop──▶ stopping ──▶ stopped
 *        ╰──kill──▶ killed      (a frozen one too)
 */
import { createMcpEndpoint } from '../../endpoint/endpoint.ts';
import type { McpEndpoint } from '../../endpoint/mcp-endpoint.ts';
import type { McpEndpointOptions } from '../../options/endpoint-options.ts';
import { loggerOf } from '../../options/logger.ts';
import { follow, type Transitions } from '../../base/transitions.ts';
import type { McpEndpointFactory } from '../../types.ts';
import type { FakeTime } from '../fake-time.ts';
import { cutConnection, refusedConnection } from './broken-connection.ts';
import { type LabCaller, type LabResult, modernRequest, type Params, resultOf } from './lab-client.ts';
import { LabProcess } from './lab-process.ts';
import type { LabStore } from './lab-store.ts';
import type { LabTask } from './lab-task.ts';

/** An instance of your server, in a lab. */
export interface LabInstance {
  /** 1 for the first that was started. */
  readonly number: number;
  /** Its endpoint, for `endpoint.tasks` and the like. Throws once the instance is killed. */
  readonly endpoint: McpEndpoint;
  /** For the transport of a client: `new StreamableHTTPClientTransport(new URL('http://localhost/mcp'), { fetch })`. */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /**
   * Calls a tool as a 2026-07-28 client without tasks, and resolves with its result. Rejects with the `ProtocolError`
   * of a refused call, and with the `TypeError` of `fetch` when the instance is killed before it has answered.
   */
  call(tool: string, args?: Params, caller?: LabCaller): Promise<LabResult>;
  /**
   * Calls a tool as a 2026-07-28 client with tasks, and resolves when the call has become one. Rejects if the call is
   * answered in another way.
   */
  callTask(tool: string, args?: Params, caller?: LabCaller): Promise<LabTask>;
}

type State = 'serving' | 'frozen' | 'stopping' | 'stopped' | 'killed';

const STATES: Transitions<State> = {
  serving: ['frozen', 'stopping', 'killed'],
  frozen: ['serving', 'killed'],
  stopping: ['stopped'],
  stopped: [],
  killed: [],
};

/** What an instance needs of its lab. */
export interface InstanceLab {
  readonly time: FakeTime;
  readonly store: LabStore;
  /** Keeps a log line for failure messages. */
  note(line: string): void;
  /** A task that this instance has started. */
  started(id: string, tool: string, at: InstanceOfLab, caller: LabCaller): LabTask;
}

let requests = 0;

export class InstanceOfLab implements LabInstance {
  readonly number: number;
  readonly #lab: InstanceLab;
  readonly #process = new LabProcess();
  readonly #endpoint: McpEndpoint;
  readonly #broken: Promise<void>;
  #break!: () => void;
  #state: State = 'serving';

  constructor(number: number, lab: InstanceLab, factory: McpEndpointFactory, options: McpEndpointOptions) {
    this.number = number;
    this.#lab = lab;
    this.#broken = new Promise((resolve) => (this.#break = resolve));
    const { time, store } = lab;
    const logger = loggerOf((level) => (fields, text) => {
      const { err } = fields as { err?: unknown };
      const cause = err === undefined ? '' : ` (${err instanceof Error ? err.message : String(err)})`;
      if (level !== 'debug' && level !== 'info') lab.note(`instance ${number} ${level}: ${text}${cause}`);
    });
    const timeProvider: FakeTime = {
      ...time,
      setTimeout: (fn, ms) => time.setTimeout(() => void this.#process.run(fn), ms),
    };
    this.#endpoint = createMcpEndpoint(factory, {
      logger,
      ...options,
      timeProvider,
      store: store.of(this.#process),
    });
  }

  get state(): State {
    return this.#state;
  }

  get endpoint(): McpEndpoint {
    this.#expect('endpoint', 'serving', 'frozen', 'stopping', 'stopped');
    return this.#endpoint;
  }

  /** Resolves when it serves. Rejects if the store cannot be opened. */
  async opened(): Promise<void> {
    await this.#endpoint.sessions.list({ limit: 1 });
  }

  #become(state: State): void {
    this.#state = follow(STATES, this.#state, state);
  }

  /** `states`: the usual one first. */
  #expect(what: string, ...states: State[]): void {
    if (states.includes(this.#state)) return;
    throw new Error(`${what}: instance ${this.number} of the lab is ${this.#state}; it must be ${states[0]}`);
  }

  // ——— its clients ———

  readonly fetch: LabInstance['fetch'] = (input, init) => this.#fetch(new Request(input, init), {});

  async #fetch(request: Request, { authInfo }: LabCaller): Promise<Response> {
    if (this.#state === 'killed' || this.#state === 'stopped')
      throw refusedConnection(`instance ${this.number} of the lab is ${this.#state}`);
    const arrived = async () => this.#process.run(() => this.#endpoint.fetch(request, { authInfo }));
    const response = await this.#untilKilled(arrived(), 'fetch failed');
    if (response.body === null) return response;
    return new Response(this.#connection(response.body, request.method === 'GET'), response);
  }

  #untilKilled<T>(work: Promise<T>, message: 'fetch failed' | 'terminated'): Promise<T> {
    const cut = async (): Promise<never> => {
      await this.#broken;
      throw cutConnection(message, `instance ${this.number} of the lab was killed`);
    };
    return Promise.race([work, cut()]);
  }

  /**
   * The endpoint is not told of a kill: its process would be dead. `endsCleanly`: `listen()` says `Connection: close` in
   * the head of a GET stream, and `fetch` of Node.js takes the end of such a connection for the end of the body.
   */
  #connection(body: ReadableStream<Uint8Array>, endsCleanly: boolean): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    const end = { done: true, value: undefined } as const;
    const next = async () => this.#process.run(() => reader.read());
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const read = endsCleanly
          ? Promise.race([next(), this.#broken.then(() => end)])
          : this.#untilKilled(next(), 'terminated');
        const { done, value } = await read;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  }

  async ask(method: string, params: Params, caller: LabCaller, as: 'tasks' | 'none' = 'tasks'): Promise<Params> {
    const id = ++requests;
    return resultOf(id, await this.#fetch(modernRequest(id, method, params, as, caller.headers), caller));
  }

  async call(tool: string, args: Params = {}, caller: LabCaller = {}): Promise<LabResult> {
    return (await this.#called('call', tool, args, caller, 'none')) as LabResult;
  }

  async callTask(tool: string, args: Params = {}, caller: LabCaller = {}): Promise<LabTask> {
    const { resultType, taskId } = await this.#called('callTask', tool, args, caller, 'tasks');
    if (resultType === 'task') return this.#lab.started(String(taskId), tool, this, caller);
    throw new Error(
      `callTask('${tool}'): the call did not become a task but was answered (${String(resultType)}): wrap its handler ` +
        'in task() of sojourn/tasks and open the lab with tasks: true, or use call()',
    );
  }

  async #called(how: string, tool: string, args: Params, caller: LabCaller, as: 'tasks' | 'none'): Promise<Params> {
    this.#expect(`${how}('${tool}')`, 'serving', 'frozen', 'stopping');
    try {
      return await this.ask('tools/call', { name: tool, arguments: args }, caller, as);
    } catch (cause) {
      const listed = await this.ask('tools/list', {}, caller).catch((): Params => ({}));
      const names = (listed['tools'] as ReadonlyArray<{ name: string }> | undefined)?.map(({ name }) => name);
      if (names === undefined || names.includes(tool)) throw cause;
      throw new Error(`${how}('${tool}'): the server has no such tool; it has ${names.join(', ')}`, { cause });
    }
  }

  // ——— its life ———

  kill(): void {
    this.#expect('kill()', 'serving', 'frozen');
    this.#become('killed');
    this.#process.kill();
    this.#break();
  }

  freeze(): void {
    this.#expect('freeze()', 'serving');
    this.#become('frozen');
    this.#process.freeze();
  }

  wake(): void {
    this.#expect('wake()', 'frozen');
    this.#become('serving');
    this.#process.wake();
  }

  async drain(): Promise<Awaited<ReturnType<McpEndpoint['drain']>>> {
    this.#expect('drain()', 'serving');
    this.#become('stopping');
    const drained = await this.#endpoint.drain();
    await this.#stopped();
    return drained;
  }

  async stop(): Promise<void> {
    this.#expect('stop()', 'serving');
    this.#become('stopping');
    await this.#stopped();
  }

  async #stopped(): Promise<void> {
    await this.#endpoint.close();
    this.#become('stopped');
  }
}
