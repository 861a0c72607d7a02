/** One instance of a lab: an endpoint on the lab's store and clock, and the connections of its clients. */
import type { McpEndpoint } from '../../endpoint/mcp-endpoint.ts';
import { cutConnection, refusedConnection } from './broken-connection.ts';
import { type LabCaller, type LabResult, modernRequest, type Params, resultOf } from './lab-client.ts';
import { LabProcess } from './lab-process.ts';
import type { LabTask } from './lab-task.ts';

/** An instance of your server, in a lab. */
export type LabInstance = Pick<InstanceOfLab, 'number' | 'endpoint' | 'fetch' | 'call' | 'callTask'>;

/** A task that this instance has started. */
type Started = (id: string, tool: string, at: InstanceOfLab, caller: LabCaller) => LabTask;

let requests = 0;

export class InstanceOfLab extends LabProcess {
  readonly #endpoint: McpEndpoint;
  readonly #started: Started;

  constructor(number: number, endpointOf: (process: LabProcess) => McpEndpoint, started: Started) {
    super(number);
    this.#endpoint = endpointOf(this);
    this.#started = started;
  }

  /** Its endpoint, for `endpoint.tasks` and the like. Throws once the instance is killed. */
  get endpoint(): McpEndpoint {
    this.expect('endpoint', 'serving', 'frozen', 'stopping', 'stopped');
    return this.#endpoint;
  }

  // ——— its clients ———

  /** For the transport of a client: `new StreamableHTTPClientTransport(new URL('http://localhost/mcp'), { fetch })`. */
  readonly fetch = (input: string | URL | Request, init?: RequestInit): Promise<Response> =>
    this.#fetch(new Request(input, init), {});

  async #fetch(request: Request, { authInfo }: LabCaller): Promise<Response> {
    if (this.state === 'killed' || this.state === 'stopped')
      throw refusedConnection(`instance ${this.number} of the lab is ${this.state}`);
    const arrived = async () => this.run(() => this.#endpoint.fetch(request, { authInfo }));
    const response = await this.#untilKilled(arrived(), 'fetch failed');
    if (response.body === null) return response;
    return new Response(this.#connection(response.body, request.method === 'GET'), response);
  }

  #untilKilled<T>(work: Promise<T>, message: 'fetch failed' | 'terminated'): Promise<T> {
    const cut = async (): Promise<never> => {
      await this.killed;
      throw cutConnection(message, `instance ${this.number} of the lab was killed`);
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
          ? Promise.race([next(), this.killed.then(() => end)])
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

  /**
   * Calls a tool as a 2026-07-28 client without tasks, and resolves with its result. Rejects with the `ProtocolError`
   * of a refused call, and with the `TypeError` of `fetch` when the instance is killed before it has answered. A server
   * of SDK 1 has no such clients: connect a client of the SDK through `fetch`.
   */
  async call(tool: string, args: Params = {}, caller: LabCaller = {}): Promise<LabResult> {
    return (await this.#called('call', tool, args, caller, 'none')) as LabResult;
  }

  /**
   * Calls a tool as a 2026-07-28 client with tasks, and resolves when the call has become one. Rejects if the call is
   * answered in another way.
   */
  async callTask(tool: string, args: Params = {}, caller: LabCaller = {}): Promise<LabTask> {
    const { resultType, taskId } = await this.#called('callTask', tool, args, caller, 'tasks');
    if (resultType === 'task') return this.#started(String(taskId), tool, this, caller);
    throw new Error(
      `callTask('${tool}'): the call did not become a task but was answered (${String(resultType)}): wrap its handler ` +
        'in task() of sojourn/tasks and open the lab with tasks: true, or use call()',
    );
  }

  async #called(how: string, tool: string, args: Params, caller: LabCaller, as: 'tasks' | 'none'): Promise<Params> {
    this.expect(`${how}('${tool}')`, 'serving', 'frozen', 'stopping');
    return this.ask('tools/call', { name: tool, arguments: args }, caller, as);
  }

  // ——— its end ———

  drain(): ReturnType<McpEndpoint['drain']> {
    return this.stopAfter('drain()', async () => {
      const drained = await this.#endpoint.drain();
      await this.#endpoint.close();
      return drained;
    });
  }

  stop(): Promise<void> {
    return this.stopAfter('stop()', () => this.#endpoint.close());
  }
}
