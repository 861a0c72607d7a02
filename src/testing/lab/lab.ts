/**
 * Instances of one server in one process, for tests of what happens when one of them dies:
 *
 *     const lab = await openLab(server, { tasks: true });
 *     const [a, b] = await lab.start(2);
 *     const film = await a.callTask('render', { scene: 'sea' });
 *     await lab.kill(a);
 *     await lab.advance(5_000); // the lease of `a` runs out
 *     await film.result(); // asked at `b`
 *     await lab.close();
 *
 * The instances share a store, which counts as durable, and a clock that moves by `pass` alone. Nothing listens on a
 * port. Works in every test runner.
 */
import { hostDefinition } from '../../session/server/definition/definition.ts';
import type { SharedServer } from '../../session/server/definition/shared-server.ts';
import { createMcpEndpoint } from '../../endpoint/endpoint.ts';
import type { McpEndpoint } from '../../endpoint/mcp-endpoint.ts';
import { optionsContradict } from '../../base/errors.ts';
import type { McpEndpointOptions } from '../../base/options/mcp-endpoint-options.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { memory } from '../../stores/memory/index.ts';
import type { McpEndpointFactory } from '../../base/types.ts';
import { createFakeTime, type FakeTime } from '../fake-time.ts';
import { until, type UntilOptions } from '../until.ts';
import type { LabCaller, Params } from './lab-client.ts';
import { brokenConnection, InstanceOfLab, type LabInstance, REFUSED } from './lab-instance.ts';
import { LabStore } from './lab-store.ts';
import { LabTask } from './lab-task.ts';

/** What `createMcpEndpoint` takes. A server object serves all instances; its changed lists reach no client. */
export type LabServer = Parameters<typeof createMcpEndpoint>[0];

/** The options of each instance. `store`: shared by all; default a `memory()` of the lab. `logger`: default none. */
export type LabOptions = Omit<McpEndpointOptions, 'timeProvider'>;

/** A step of the lab's time, and what it takes of the machine's: the 25 s of a drain take two. */
const [STEP_MS, PAUSE_MS] = [25, 2];

/** Opens a lab without instances. Throws for a server that cannot serve many sessions. */
export async function openLab(server: LabServer, options: LabOptions = {}): Promise<Lab> {
  if ('timeProvider' in options)
    throw optionsContradict(
      'openLab() makes the clock: leave timeProvider out; lab.advance(ms) moves the clock',
    );
  return new Lab(server, options);
}

export class Lab implements AsyncDisposable {
  /** The clock of all instances, for code of yours that takes one. Begins with the present time. */
  readonly time: FakeTime;
  readonly #store: LabStore;
  readonly #server: LabServer;
  readonly #options: LabOptions;
  readonly #began: number;
  readonly #definitions = new Map<object, SharedServer>();
  readonly #instances: InstanceOfLab[] = [];
  /** Every drain and stop. */
  readonly #ending: Array<Promise<unknown>> = [];

  constructor(server: LabServer, options: LabOptions) {
    this.#began = Date.now();
    this.time = createFakeTime(this.#began);
    this.#store = new LabStore(options.store ?? memory(), this.time);
    this.#server = server;
    this.#options = options;
    this.#factoryOf(server);
  }

  /** A server object serves one endpoint, but a factory any number. */
  #factoryOf(server: LabServer): McpEndpointFactory {
    if (!isObject(server)) return server as McpEndpointFactory;
    const definition = this.#definitions.get(server) ?? hostDefinition(server);
    this.#definitions.set(server, definition);
    return definition.factory;
  }

  /**
   * Starts instances. Resolves when they serve; rejects if the store cannot be opened. `server`: another build, for
   * tests of a deploy.
   */
  start(count?: 1, server?: LabServer): Promise<[LabInstance]>;
  start(count: 2, server?: LabServer): Promise<[LabInstance, LabInstance]>;
  start(count: 3, server?: LabServer): Promise<[LabInstance, LabInstance, LabInstance]>;
  start(count: number, server?: LabServer): Promise<LabInstance[]>;
  async start(count: number = 1, server = this.#server): Promise<LabInstance[]> {
    const endpointOf = (instance: InstanceOfLab): McpEndpoint => this.#endpointOf(instance, server);
    const made = Array.from({ length: count }, () => {
      const number = this.#instances.length + 1;
      const instance = new InstanceOfLab(number, endpointOf, (...given) => this.#started(...given));
      this.#instances.push(instance);
      return instance;
    });
    try {
      await Promise.all(made.map(({ endpoint }) => endpoint.sessions.list({ limit: 1 })));
    } catch (cause) {
      for (const instance of made) instance.kill();
      throw cause;
    }
    return made;
  }

  #endpointOf(instance: InstanceOfLab, server: LabServer): McpEndpoint {
    const { time } = this;
    const timeProvider = {
      ...time,
      setTimeout: (fn: () => void, ms: number) => time.setTimeout(() => void instance.run(fn), ms),
    };
    const store = this.#store.of(instance);
    return createMcpEndpoint(this.#factoryOf(server), {
      logger: false,
      ...this.#options,
      timeProvider,
      store,
    });
  }

  /** For the transport of a client: sends each request to the first instance that serves, as a load balancer does. */
  readonly fetch: LabInstance['fetch'] = async (input, init) => {
    const first = this.#serving();
    if (first === undefined) throw brokenConnection('fetch failed', REFUSED, this.#noneServes());
    return first.fetch(input, init);
  };

  #serving(preferred?: InstanceOfLab): InstanceOfLab | undefined {
    const all = (one: InstanceOfLab['state']): InstanceOfLab[] =>
      this.#instances.filter(({ state }) => state === one);
    const serving = [...all('serving'), ...all('stopping')];
    return serving.find((one) => one === preferred) ?? serving[0];
  }

  #noneServes(): string {
    return `No instance serves: call lab.start(); ${this.#states()}`;
  }

  /**
   * Lets time pass: leases, timers and limits. Records expire with it on `memory()` and SQLite; other stores use their
   * servers' clocks.
   */
  advance(ms: number): Promise<void> {
    return this.time.advance(ms);
  }

  /**
   * Resolves with the first truthy value of `condition`. Rejects after `timeoutMs` by the clock of the machine
   * (default 5,000), and says what the lab sees then.
   */
  async until<T>(condition: () => T | Promise<T>, options: UntilOptions = {}): Promise<T> {
    try {
      return await until(condition, options);
    } catch (failure) {
      const { message, cause } = failure as Error;
      const passed = `${this.time.now() - this.#began} ms have passed there, by advance(ms) alone`;
      throw new Error([message, this.#states(), passed].join('; '), { cause });
    }
  }

  #states(): string {
    const states = this.#instances.map(({ number, state, unanswered }) => {
      const calls =
        unanswered.size === 0 ? '' : ` and has not answered ${[...unanswered].join(', ')}`;
      return `instance ${number} is ${state}${calls}`;
    });
    return `in the lab ${states.length === 0 ? 'no instance was started' : states.join(', ')}`;
  }

  #started(id: string, tool: string, at: InstanceOfLab, caller: LabCaller): LabTask {
    const ask = async (method: string, params: Params) => {
      const instance = this.#serving(at);
      if (instance === undefined) throw new Error(this.#noneServes());
      return instance.ask(method, params, caller);
    };
    return new LabTask(id, tool, ask, (condition, options) => this.until(condition, options));
  }

  #own(instance: LabInstance): InstanceOfLab {
    const own = this.#instances.find((known) => known === instance);
    if (own === undefined)
      throw new Error('This is no instance of the lab: pass what lab.start() has returned');
    return own;
  }

  /**
   * Stops an instance as `kill -9` does: nothing it writes from now on is stored, its connections break, and its lease
   * ends after `leaseMs`. A handler that runs cannot be stopped: what it awaits of `sojourn` never settles, and its
   * other code continues.
   */
  async kill(instance: LabInstance): Promise<void> {
    this.#own(instance).kill();
  }

  /** Stops an instance as SIGSTOP does, until `wake`: others take over what it has when its lease ends. */
  async freeze(instance: LabInstance): Promise<void> {
    this.#own(instance).freeze();
  }

  async wake(instance: LabInstance): Promise<void> {
    this.#own(instance).wake();
  }

  /** Stops an instance as a deploy does: `endpoint.drain()`, then `close()`. Moves the time, up to 25 s. */
  drain(
    instance: LabInstance,
  ): Promise<{ readonly released: number; readonly interrupted: number }> {
    return this.#inTime(this.#own(instance).end('drain'));
  }

  /** Calls `close()` without a drain. Moves the time. */
  async stop(instance: LabInstance): Promise<void> {
    await this.#inTime(this.#own(instance).end('stop'));
  }

  /** Moves the time while `work` waits for it. */
  async #inTime<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const done = work.finally(() => (isOver = true));
    this.#ending.push(done);
    while (!isOver) {
      await Promise.race([done, new Promise((over) => setTimeout(over, PAUSE_MS))]);
      if (!isOver) await this.time.advance(STEP_MS);
    }
    return done;
  }

  /** Stops every instance, and closes the store. */
  async close(): Promise<void> {
    for (const instance of this.#instances) if (instance.state === 'frozen') instance.kill();
    const serving = this.#instances.filter(({ state }) => state === 'serving');
    await Promise.all(serving.map((instance) => this.stop(instance)));
    // Their callers hear whether they failed.
    await Promise.allSettled(this.#ending);
    await this.#store.close();
    for (const definition of this.#definitions.values()) definition.release();
    this.#definitions.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
