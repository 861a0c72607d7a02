/**
 * One instance of a lab: an endpoint on the lab's store and clock, the connections of its clients, and what a kill or a
 * freeze stops in it: its calls to the store, its timers, what arrives from others. Code that runs continues until it
 * needs one of them.
 *
 *     serving ──freeze──▶ frozen ──wake──▶ serving
 *        ├──drain, stop──▶ stopping ──▶ stopped
 *        ╰──kill──▶ killed      (a frozen one too)
 */
import type { McpEndpoint } from '../../endpoint/mcp-endpoint.ts';
import type { MaybePromise } from '../../base/types.ts';
import {
  type LabCaller,
  type LabResult,
  modernRequest,
  type Params,
  resultOf,
} from './lab-client.ts';
import type { LabTask } from './lab-task.ts';

/** An instance of your server, in a lab. */
export type LabInstance = Pick<
  InstanceOfLab,
  'number' | 'endpoint' | 'fetch' | 'call' | 'callTask'
>;

/** A task that this instance has started. */
type Started = (id: string, tool: string, at: InstanceOfLab, caller: LabCaller) => LabTask;

type LabState = 'serving' | 'frozen' | 'stopping' | 'stopped' | 'killed';

let requests = 0;
let calls = 0;

export class InstanceOfLab {
  /** 1 for the first that was started. */
  readonly number: number;
  readonly #endpoint: McpEndpoint;
  readonly #started: Started;
  state: LabState = 'serving';
  /** Calls of tools. */
  readonly unanswered = new Set<string>();
  #waiting: Array<() => void> = [];
  readonly #killed: Promise<void>;
  #endKilled!: () => void;

  constructor(
    number: number,
    endpointOf: (instance: InstanceOfLab) => McpEndpoint,
    started: Started,
  ) {
    this.number = number;
    this.#killed = new Promise((resolve) => (this.#endKilled = resolve));
    this.#started = started;
    this.#endpoint = endpointOf(this);
  }

  /** `states`: the usual one first. */
  #expect(what: string, ...states: LabState[]): void {
    if (states.includes(this.state)) return;
    throw new Error(
      `${what}: instance ${this.number} of the lab is ${this.state}; it must be ${states[0]}`,
    );
  }

  /** Runs `work` at once; in a frozen instance when it wakes, in order; in a killed one never. */
  run<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    if (this.state !== 'frozen' && this.state !== 'killed') return work();
    return new Promise<void>((wake) => this.#waiting.push(wake)).then(work);
  }

  /** The same object, whose methods, and the callbacks that they are given, run in this instance. */
  guard<T extends object>(of: T): T {
    return new Proxy(of, {
      get: (_, name) => {
        const method: unknown = Reflect.get(of, name);
        if (typeof method !== 'function') return method;
        return (...given: unknown[]) => {
          const inside = given.map((one) => this.#inside(one));
          return this.run(() => method.apply(of, inside) as unknown);
        };
      },
    });
  }

  #inside(given: unknown): unknown {
    if (typeof given !== 'function') return given;
    return (...sent: unknown[]) => this.run(() => given(...sent) as unknown);
  }

  /** Its endpoint, for `endpoint.tasks` and the like. Throws once the instance is killed. */
  get endpoint(): McpEndpoint {
    this.#expect('endpoint', 'serving', 'frozen', 'stopping', 'stopped');
    return this.#endpoint;
  }

  // ——— its clients ———

  /** For the transport of a client: `new StreamableHTTPClientTransport(new URL('http://localhost/mcp'), { fetch })`. */
  readonly fetch = (input: string | URL | Request, init?: RequestInit): Promise<Response> =>
    this.#fetch(new Request(input, init), {});

  async #fetch(request: Request, { authInfo }: LabCaller): Promise<Response> {
    if (this.state === 'killed' || this.state === 'stopped')
      throw brokenConnection(
        'fetch failed',
        REFUSED,
        `instance ${this.number} of the lab is ${this.state}`,
      );
    const arrived = async () => this.run(() => this.#endpoint.fetch(request, { authInfo }));
    const response = await this.#untilKilled(arrived(), 'fetch failed');
    if (response.body === null) return response;
    return new Response(this.#connection(response.body, request.method === 'GET'), response);
  }

  #untilKilled<T>(work: Promise<T>, message: 'fetch failed' | 'terminated'): Promise<T> {
    const cut = async (): Promise<never> => {
      await this.#killed;
      throw brokenConnection(message, CLOSED, `instance ${this.number} of the lab was killed`);
    };
    return Promise.race([work, cut()]);
  }

  /**
   * The endpoint is not told of a kill: its process would be dead. `endsCleanly`: `listen()` says `Connection: close`
   * in the head of a GET stream, and `fetch` of Node.js takes the end of such a connection for the end of the body.
   */
  #connection(body: ReadableStream<Uint8Array>, endsCleanly: boolean): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    const end = { done: true, value: undefined } as const;
    const next = async () => this.run(() => reader.read());
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const read = endsCleanly
          ? Promise.race([next(), this.#killed.then(() => end)])
          : this.#untilKilled(next(), 'terminated');
        const { done, value } = await read;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  }

  async ask(
    method: string,
    params: Params,
    caller: LabCaller,
    as: 'tasks' | 'none' = 'tasks',
  ): Promise<Params> {
    const id = ++requests;
    return resultOf(
      id,
      await this.#fetch(modernRequest(id, method, params, as, caller.headers), caller),
    );
  }

  async #callTool(
    name: string,
    args: Params,
    caller: LabCaller,
    as: 'tasks' | 'none',
  ): Promise<Params> {
    const call = `${name} (${++calls})`;
    this.unanswered.add(call);
    try {
      return await this.ask('tools/call', { name, arguments: args }, caller, as);
    } finally {
      this.unanswered.delete(call);
    }
  }

  /**
   * Calls a tool as a 2026-07-28 client without tasks, and resolves with its result. Rejects with the `ProtocolError`
   * of a refused call, and with the `TypeError` of `fetch` when the instance is killed before it has answered. A server
   * of SDK 1 has no such clients: connect a client of the SDK through `fetch`.
   */
  async call(tool: string, args: Params = {}, caller: LabCaller = {}): Promise<LabResult> {
    return (await this.#callTool(tool, args, caller, 'none')) as LabResult;
  }

  /**
   * Calls a tool as a 2026-07-28 client with tasks, and resolves when the call has become one. Rejects if the call is
   * answered in another way.
   */
  async callTask(tool: string, args: Params = {}, caller: LabCaller = {}): Promise<LabTask> {
    const { resultType, taskId } = await this.#callTool(tool, args, caller, 'tasks');
    if (resultType === 'task') return this.#started(String(taskId), tool, this, caller);
    throw new Error(
      `callTask('${tool}'): the call did not become a task but was answered (${String(resultType)}): wrap its handler ` +
        'in task() and open the lab with tasks: true, or use call()',
    );
  }

  // ——— its end ———

  kill(): void {
    this.#expect('kill()', 'serving', 'frozen');
    this.state = 'killed';
    this.#waiting = [];
    this.#endKilled();
  }

  freeze(): void {
    this.#expect('freeze()', 'serving');
    this.state = 'frozen';
  }

  wake(): void {
    this.#expect('wake()', 'frozen');
    this.state = 'serving';
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Closes its endpoint, after a drain or without. */
  async end(how: 'drain' | 'stop'): ReturnType<McpEndpoint['drain']> {
    this.#expect(`${how}()`, 'serving');
    this.state = 'stopping';
    const drained =
      how === 'drain' ? await this.#endpoint.drain() : { released: 0, interrupted: 0 };
    await this.#endpoint.close({ timeoutMs: 0 });
    this.state = 'stopped';
    return drained;
  }
}

/** What `fetch` of Node.js gives as the cause when the process of a server dies, and when none listens any more. */
const CLOSED = { name: 'SocketError', code: 'UND_ERR_SOCKET', message: 'other side closed' };
export const REFUSED = { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 127.0.0.1:80' };

/** Before its response has begun (`fetch failed`) or within it (`terminated`). The innermost cause is the lab's. */
export function brokenConnection(
  message: 'fetch failed' | 'terminated',
  how: typeof REFUSED,
  why: string,
): TypeError {
  return new TypeError(message, {
    cause: Object.assign(new Error(how.message, { cause: new Error(why) }), how),
  });
}
