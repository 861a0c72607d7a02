/**
 * A deployment in one process: instances on one clock, a store, the network between all of them and their clients.
 * Nothing in it is real, and everything that happens follows from its seed.
 */
import { memoryRows } from '../../src/http/limits/memory-rows.ts';
import { Core } from '../../src/endpoint/core.ts';
import type { McpEndpointOptions } from '../../src/base/options/mcp-endpoint-options.ts';
import type { ResolvedOptions } from '../../src/base/options/endpoint-options.ts';
import { resolveOptions } from '../../src/base/options/resolve.ts';
import { type EndpointStore, openEndpointStore } from '../../src/endpoint/endpoint-store.ts';
import type { Post } from '../../src/durable/events/webhook.ts';
import { sessionKind } from '../../src/session/record/record-kinds.ts';
import { LEASES } from '../../src/stores/shared/instances.ts';
import type { Kind } from '../../src/stores/store.ts';
import type { Logger, McpEndpointContext, McpEndpointFactory } from '../../src/base/types.ts';
import type { HttpRequest, Response, SimExchange, SseEvent } from './exchange.ts';
import { type Faults, NO_FAULTS, type Range } from './faults.ts';
import { HttpNetwork } from './http-network.ts';
import { Ledger } from './ledger.ts';
import { EPOCH_MS, SimProcess } from './process.ts';
import { type Interference, ProcessPort } from './process-port.ts';
import { Random } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { SimServer } from './server.ts';
import {
  type Deployment,
  type Mailbox,
  SimStore,
  type StoreChanges,
  StoreServer,
} from './sim-store.ts';
import type { StoreData } from './store-data.ts';

type Message = Readonly<Record<string, unknown>>;

export interface WorldOptions {
  readonly seed: number;
  readonly slots: number;
  readonly endpoint?: McpEndpointOptions;
  readonly faults?: Partial<Faults>;
  readonly changes?: StoreChanges;
  /** Keeps a line for everything that happens. */
  readonly traced?: boolean;
  /** Messages that are not let through. */
  readonly lets?: (message: Readonly<Record<string, unknown>>) => boolean;
  /** Called when a factory is, with its context; may throw. */
  readonly onFactory?: (instance: SimInstance, context: McpEndpointContext) => void;
  /** The server of a request or session; default: a `SimServer`. */
  readonly serverOf?: (
    instance: SimInstance,
    context: McpEndpointContext,
  ) => ReturnType<McpEndpointFactory>;
  /** How a process reaches the callbacks of event subscriptions. */
  readonly postOf?: (process: SimProcess) => Post;
  /** Called with every process before its instance is made. */
  readonly onProcess?: (process: SimProcess) => void;
}

/** One process with its endpoint, in one of the slots that a balancer knows. */
export interface SimInstance {
  readonly slot: number;
  readonly process: SimProcess;
  readonly port: ProcessPort;
  core: Core | undefined;
  /** Connections are taken. */
  listening: boolean;
  readonly exchanges: Set<SimExchange>;
}

export class World {
  readonly scheduler = new Scheduler();
  readonly ledger = new Ledger();
  readonly faults: Faults;
  readonly trace: string[] | undefined;
  readonly slots: Array<SimInstance | undefined>;
  readonly server: StoreServer;
  /** The store answers no instance. */
  storeDown = false;
  /** What reaches the store waits until then; `'all'`: messages too. */
  stall: { readonly calls: 'writes' | 'calls' | 'all'; readonly until: number } = {
    calls: 'all',
    until: -Infinity,
  };
  /** Processes that do not reach the store, nor it them. */
  readonly cutOff = new Set<SimProcess>();
  /** Pairs of processes that do not reach each other: `a|b`. */
  readonly apart = new Set<string>();
  /** When clients stop acting, and everything is healed. */
  activeUntil = Infinity;
  healed = false;
  readonly tries = 1;
  /** A snapshot was taken, and will come back. */
  rollingBack = false;
  /** Faults placed by hand: asked for each call to the store. */
  interfere: (process: SimProcess, call: string) => Interference | undefined = () => undefined;
  readonly options: WorldOptions;
  readonly network: Random;
  readonly #ids: Random;
  readonly #endpoint: ResolvedOptions;
  readonly #http = new HttpNetwork(this);
  #started = 0;

  constructor(options: WorldOptions) {
    const root = new Random(options.seed);
    this.options = options;
    this.network = root.fork();
    this.#ids = root.fork();
    this.faults = { ...NO_FAULTS, ...options.faults };
    this.trace = options.traced === true ? [] : undefined;
    this.slots = Array.from({ length: options.slots }, () => undefined);
    this.#endpoint = resolveOptions({
      keepAliveMs: Infinity,
      leaseMs: 1_000,
      retryMs: 100,
      ...options.endpoint,
    });
    this.server = new StoreServer({
      now: () => this.storeNow,
      carry: (from, to, message, put) => this.#carry(from, to, message, put),
      ...(options.changes !== undefined && { changes: options.changes }),
    });
    this.ledger.logged =
      this.#endpoint.eventRetention !== false && this.#endpoint.responseMode !== 'json';
  }

  get now(): number {
    return this.scheduler.now;
  }

  get maxWaitMs(): number {
    return this.#endpoint.maxWaitMs;
  }

  /** The store's clock. */
  get storeNow(): number {
    return EPOCH_MS + this.scheduler.now;
  }

  /** The store loses the record of a session, its markers and its log. */
  vanish(id: string): void {
    this.note(`the store loses session ${id}`);
    this.ledger.vanished.add(id);
    this.data.vanish(id);
  }

  get #sessions(): Kind {
    return sessionKind(this.#endpoint.eventRetention, this.#endpoint.tombstoneMs);
  }

  get #deployment(): Deployment {
    const { deployment, leaseMs } = this.#endpoint;
    return this.server.deployment({ deployment, leaseMs });
  }

  get data(): StoreData {
    return this.dataOf(this.#sessions);
  }

  /** The records of a kind that is not that of the sessions. */
  dataOf(kind: Kind): StoreData {
    return this.#deployment.of(kind);
  }

  get mailboxes(): ReadonlyMap<string, Mailbox> {
    return this.#deployment.mailboxes;
  }

  /** The process that has or had this id as an instance. */
  processOf = (id: string): SimProcess | undefined =>
    (this.mailboxes.get(id)?.port as ProcessPort | undefined)?.process;

  /** Whether the instance of this id has a lease, by the store. */
  isAlive(id: string): boolean {
    return this.#deployment.isAlive(id);
  }

  hasEnded(session: string): boolean {
    const { data } = this;
    if (data.happened.some(({ kind, id }) => kind === 'end' && id === session)) return true;
    return data.stored(session) !== undefined && !data.isLiving(session);
  }

  /** Remembers sessions and leases. What it returns brings them back, and tells which sessions lost something. */
  snapshot(): () => string[] {
    const [sessions, leases] = [this.data.snapshot(), this.dataOf(LEASES).snapshot()];
    return () => {
      leases();
      return sessions();
    };
  }

  get leaseMs(): number {
    return this.#endpoint.leaseMs;
  }

  note(what: string): void {
    this.trace?.push(`${this.scheduler.now.toFixed(3).padStart(10)} ${what}`);
  }

  /** What was seen to be wrong at once. */
  wrong(what: string): void {
    this.note(`VIOLATION ${what}`);
    this.ledger.violations.push(what);
  }

  // ——— instances ———

  /** Starts a process in a slot; resolves when it listens, or was killed before. */
  async start(slot: number): Promise<SimInstance> {
    const process = new SimProcess(`i${slot}.${this.#started++}`, this.scheduler);
    this.options.onProcess?.(process);
    const instance: SimInstance = {
      slot,
      process,
      port: new ProcessPort(this, process),
      core: undefined,
      listening: false,
      exchanges: new Set(),
    };
    process.onDeath = () => this.#died(instance);
    this.slots[slot] = instance;
    this.note(`${process.name} starts`);
    while (!instance.listening && process.state !== 'dead') {
      try {
        await this.#join(instance);
      } catch {
        await this.scheduler.sleep(200);
      }
    }
    return instance;
  }

  async #join(instance: SimInstance): Promise<void> {
    const { process, port } = instance;
    const logger = this.#loggerOf(process);
    const options: ResolvedOptions = { ...this.#endpoint, timeProvider: process, logger };
    const random = (n: number): Uint8Array => this.#ids.bytes(n);
    const store = openEndpointStore(
      new SimStore(this.server, port),
      options,
      random,
    ) as EndpointStore;
    const core = new Core({
      factory: (context) => {
        this.options.onFactory?.(instance, context);
        const { serverOf } = this.options;
        if (serverOf !== undefined) return serverOf(instance, context);
        return new SimServer(process, this, context);
      },
      makesNew: false,
      drainOrdered: () => undefined,
      options,
      store,
      durable: true,
      random,
      post: this.options.postOf?.(process),
      held: memoryRows(options.limits.memoryBytes),
    });
    instance.core = core;
    await core.join();
    instance.listening = true;
    this.note(`${process.name} listens, as ${core.instance.lease.id}`);
  }

  #loggerOf({ name }: SimProcess): Logger {
    if (this.trace === undefined) return SILENT;
    const line =
      (level: string) =>
      (fields: object, text: string): void => {
        const { err, ...rest } = fields as { err?: unknown };
        this.note(
          `${name} ${level}: ${text} ${JSON.stringify(rest)}${err === undefined ? '' : ` ${String(err)}`}`,
        );
      };
    return {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      fatal: line('fatal'),
    };
  }

  #died(instance: SimInstance): void {
    instance.listening = false;
    if (this.slots[instance.slot] === instance) this.slots[instance.slot] = undefined;
    this.#http.drop(instance);
    for (const mailbox of this.mailboxes.values())
      if (mailbox.port === instance.port) mailbox.drop(false);
  }

  /** Gives it back to its supervisor: drained, closed, gone. */
  async retire(instance: SimInstance, timeoutMs: number): Promise<void> {
    this.note(`${instance.process.name} drains`);
    this.ledger.retired.push({ slot: instance.slot, from: this.now });
    await instance.core?.shutdown.drain(timeoutMs);
    instance.listening = false;
    this.note(`${instance.process.name} closes`);
    await instance.core?.shutdown
      .close()
      .catch((error: unknown) => this.note(`${instance.process.name} close: ${String(error)}`));
    instance.process.kill();
    this.note(`${instance.process.name} is gone`);
  }

  kill(instance: SimInstance): void {
    this.note(`${instance.process.name} is killed`);
    instance.process.kill();
  }

  /** Everything works again, and every slot is served. */
  async heal(): Promise<void> {
    this.note('everything is healed');
    Object.assign(this.faults, NO_FAULTS, { http: this.faults.http });
    this.storeDown = false;
    this.stall = { calls: 'all', until: -Infinity };
    this.cutOff.clear();
    this.apart.clear();
    const starting: Array<Promise<unknown>> = [];
    for (const [slot, instance] of this.slots.entries()) {
      instance?.process.thaw(true);
      if (instance === undefined) starting.push(this.start(slot));
    }
    await Promise.all(starting);
  }

  // ——— the network ———

  delay([low, high]: Range): number {
    return low === high ? low : this.network.between(low, high);
  }

  http(slot: number, request: HttpRequest, onEvent?: (event: SseEvent) => void): Response {
    return this.#http.send(slot, request, onEvent);
  }

  #carry(
    from: Mailbox | undefined,
    to: Mailbox,
    message: Message,
    put: (message: Message) => void,
  ): void {
    const { faults, network } = this;
    const sender = (from?.port as ProcessPort | undefined)?.process;
    const receiver = (to.port as ProcessPort).process;
    const lost =
      this.options.lets?.(message) === false ||
      (sender !== undefined && this.apart.has(`${sender.name}|${receiver.name}`)) ||
      this.cutOff.has(receiver) ||
      network.chance(faults.mailLost);
    if (this.trace !== undefined) {
      this.note(
        `${sender?.name ?? '?'} → ${receiver.name}${lost ? ' LOST' : ''} ${JSON.stringify(message).slice(0, 300)}`,
      );
    }
    if (lost && sender !== undefined) this.ledger.unheard.add(sender.name);
    if (lost) return;
    const copies = network.chance(faults.mailDoubled) ? 2 : 1;
    for (let n = 0; n < copies; n++) {
      const arrives = (): void =>
        put(n === 0 ? message : (JSON.parse(JSON.stringify(message)) as Message));
      const late = network.chance(faults.mailDelayed) ? this.delay(faults.mailDelay) : 0;
      const at = this.now + this.delay(faults.mail) + late;
      // In order, but for what is late.
      if (late === 0) this.scheduler.at((to.port as ProcessPort).inOrder(sender, at), arrives);
      else this.scheduler.at(at, arrives);
    }
  }
}

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
