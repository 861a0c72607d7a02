/**
 * The store of a world, as each instance sees it: durable, shared, its messages copied. Each view has its own kernel
 * on the rows of the world. A call travels through the port of its process, where faults happen; without faults it
 * keeps the store contract.
 *
 * A mailbox is subscribed from `announce` on. When its subscription drops, messages to it are lost and senders learn it
 * `'suspect'`, until a `renew` opens it again.
 */
import type { Backend } from '../../src/stores/kernel/backend.ts';
import { openView } from '../../src/stores/kernel/open-view.ts';
import { TurnWrites } from '../../src/stores/kernel/turn-writes.ts';
import { LEASES, type Mailboxes, type Receive } from '../../src/stores/shared/instances.ts';
import type { InstanceMessage, InstanceStore, Kind, MaybePromise } from '../../src/stores/store.ts';
import type { OpenStore, Records, Store, StoreOptions } from '../../src/stores/store.ts';
import { StoreData } from './store-data.ts';

/** The way of one process to the store. */
export interface Port {
  readonly process: { readonly name: string };
  /** `effect` happens in the store, in a moment; or does not. */
  call<T>(name: string, effect: () => MaybePromise<T>, about?: unknown): Promise<T>;
  /** Runs in the process, when something reaches it from outside. */
  arrive(fn: () => void): void;
  /** The same, after the time that it takes to notice that a connection is gone. */
  notice(fn: () => void): void;
}

/** What carries a message from one mailbox to another. */
export type Carry = (
  from: Mailbox | undefined,
  to: Mailbox,
  message: InstanceMessage,
  put: (message: Readonly<Record<string, unknown>>) => void,
) => void;

export class Mailbox {
  readonly port: Port;
  readonly #receive: Receive;
  readonly #lost: () => void;
  subscribed = true;
  /** Messages are lost, and no instance learns it until it is opened again: a half-open connection. */
  deaf = false;

  constructor(port: Port, receive: Receive, lost: () => void) {
    this.port = port;
    this.#receive = receive;
    this.#lost = lost;
  }

  put(from: string, message: InstanceMessage): void {
    if (!this.subscribed || this.deaf) return;
    this.port.arrive(() => {
      if (this.subscribed) this.#receive(from, message);
    });
  }

  open(): void {
    this.subscribed = true;
    this.deaf = false;
  }

  /** Senders learn it from now on. `told`: the instance too. */
  drop(told: boolean): void {
    if (!this.subscribed) return;
    this.subscribed = false;
    if (told) this.port.notice(this.#lost);
  }
}

/** What a test or an ablation puts in place of methods of the store. */
export interface StoreChanges {
  records?(records: Records, data: StoreData): Partial<Records>;
  instances?(instances: InstanceStore, deployment: Deployment): Partial<InstanceStore>;
}

/** One deployment in the store. */
export class Deployment {
  readonly mailboxes = new Map<string, Mailbox>();
  readonly leaseMs: number;
  readonly #kinds = new Map<string, StoreData>();
  readonly #now: () => number;

  constructor(now: () => number, leaseMs: number) {
    this.#now = now;
    this.leaseMs = leaseMs;
  }

  of({ name }: Kind): StoreData {
    let data = this.#kinds.get(name);
    if (data === undefined) this.#kinds.set(name, (data = new StoreData(this.#now)));
    return data;
  }

  isAlive(id: string): boolean {
    return this.of(LEASES).isLiving(id);
  }

  /** The rows, as the process of this name writes them. */
  backend(process: string): Backend {
    return {
      where: 'the simulated store',
      now: this.#now,
      write: (writes) => writes.map((write) => this.of(write.kind).write(write, process)),
      read: (kind, id) => this.of(kind).row(id),
      log: (kind, id) => this.of(kind).log(id),
      list: (kind, after, before, limit) => this.of(kind).living(after, before).slice(0, limit),
      due: (kind, after, until, limit) => this.of(kind).due(after, until).slice(0, limit),
      count: (kind, after, before) => this.of(kind).living(after, before).length,
    };
  }
}

export interface StoreServerOptions {
  now(): number;
  readonly changes?: StoreChanges;
  readonly carry?: Carry;
}

/** What is behind all ports. */
export class StoreServer {
  readonly changes: StoreChanges;
  readonly carry: Carry;
  readonly #now: () => number;
  readonly #deployments = new Map<string, Deployment>();

  constructor({ now, changes = {}, carry = (_from, _to, message, put) => put(message) }: StoreServerOptions) {
    this.#now = now;
    this.changes = changes;
    this.carry = carry;
  }

  deployment({ name, leaseMs }: Pick<StoreOptions, 'name' | 'leaseMs'>): Deployment {
    let deployment = this.#deployments.get(name);
    if (deployment === undefined)
      this.#deployments.set(name, (deployment = new Deployment(() => this.#now(), leaseMs)));
    return deployment;
  }
}

export class SimStore implements Store {
  readonly kind = 'simulated';
  readonly durable = true;
  readonly inProcess = false;
  readonly #server: StoreServer;
  readonly #port: Port;

  constructor(server: StoreServer, port: Port) {
    this.#server = server;
    this.#port = port;
  }

  open(options: StoreOptions): OpenStore {
    const deployment = this.#server.deployment(options);
    const { changes } = this.#server;
    const port = this.#port;
    const view = openView(
      {
        backend: deployment.backend(port.process.name),
        newWrites: (backend) => new TurnWrites(backend, true),
        mailboxes: () => this.#mailboxes(deployment),
      },
      options,
    );
    const instances = replaced(view.instances, changes.instances?.(view.instances, deployment));
    return {
      records: (kind) => {
        const [records, data] = [view.records(kind), deployment.of(kind)];
        const heard: Partial<Records> = {
          replay: (id, stream, after) => {
            data.replays.push({ at: data.now(), id, stream, after });
            return records.replay(id, stream, after);
          },
        };
        return through(port, replaced(records, { ...heard, ...changes.records?.(records, data) }), nameOfRecords);
      },
      instances: through(port, instances, (name) => NAMES[name] ?? name),
      secret: (name, keepMs) => port.call('secret', () => view.secret(name, keepMs)),
      close: () => port.call('close', () => view.close()),
    };
  }

  #mailboxes(deployment: Deployment): Mailboxes {
    const { mailboxes } = deployment;
    return {
      open: (id, receive, lost) => {
        mailboxes.set(id, new Mailbox(this.#port, receive, lost));
        return id;
      },
      check: (id) => mailboxes.get(id)?.open(),
      send: (from, to, message) => {
        const mailbox = mailboxes.get(to);
        if (mailbox?.subscribed !== true || !deployment.isAlive(to)) return 'suspect';
        const put = (placed: object): void => mailbox.put(from, placed as InstanceMessage);
        this.#server.carry(mailboxes.get(from), mailbox, copied(message), put);
        return 'sent';
      },
      close: (id) => mailboxes.get(id)?.drop(false),
    };
  }
}

/** The names of calls where they say too little. */
const NAMES: Readonly<Record<string, string>> = { read: 'lease', list: 'leases' };

function nameOfRecords(name: string, given: readonly unknown[]): string {
  if (name === 'save') return (given[2] as { release?: true }).release === true ? 'release' : name;
  if (name === 'append') return (given[0] as { stream: string | null }).stream === null ? 'mark' : name;
  return name;
}

/** Each call of a method goes through the port, with what it was given at that moment. */
function through<T extends object>(port: Port, of: T, nameOf: (name: string, given: readonly unknown[]) => string): T {
  return new Proxy(of, {
    get: (_, name) => {
      // Where a store has a server, it drops nothing early.
      if (name === 'forget') return undefined;
      const method = Reflect.get(of, name) as (...given: unknown[]) => unknown;
      return (...given: unknown[]) => {
        const sent = given.map(copied);
        return port.call(nameOf(String(name), sent), () => method(...sent), sent);
      };
    },
  });
}

const copied = <T>(value: T): T => (typeof value === 'object' ? structuredClone(value) : value);

/** The same object with other methods in place of some. */
export function replaced<T extends object>(of: T, own: Partial<T> = {}): T {
  return new Proxy(of, {
    get: (_, name) => {
      const member: unknown = Reflect.get(own, name) ?? Reflect.get(of, name);
      return typeof member === 'function' ? (member.bind(of) as unknown) : member;
    },
  });
}
