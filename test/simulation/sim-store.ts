/**
 * The store of a world, as each instance sees it: durable, shared, its messages copied. Each view has its own kernel.
 * What the kernel asks of the rows of the world travels through the port of its process, where faults happen; without
 * faults the store keeps its contract.
 *
 * A mailbox is subscribed from `announce` on. When its subscription drops, messages to it are lost and senders learn it
 * `'suspect'`, until a `renew` opens it again.
 */
import { entryOfTexts, entryTexts, rowOf, textsOf } from '../../src/stores/kernel/row-texts.ts';
import {
  type Backend,
  type LogEntry,
  isRowWrite,
  type Write,
} from '../../src/stores/kernel/backend.ts';
import { byBytes } from '../../src/stores/kernel/counted-bytes.ts';
import { openView } from '../../src/stores/kernel/open-view.ts';
import { ServerClock } from '../../src/stores/kernel/server-clock.ts';
import { LEASES, type Mailboxes, type Receive } from '../../src/stores/shared/instances.ts';
import type { TimeProvider } from '../../src/base/types.ts';
import type { InstanceMessage, InstanceStore, Kind, MaybePromise } from '../../src/stores/store.ts';
import type { OpenStore, Records, Store, StoreOptions } from '../../src/stores/store.ts';
import { changeOf, StoreData } from './store-data.ts';

/** The way of one process to the store. */
export interface Port {
  readonly process: { readonly name: string };
  /** `effect` happens in the store, in a moment; or does not. `names`: of all that it does. */
  call<T>(names: readonly string[], effect: () => MaybePromise<T>, about?: unknown): Promise<T>;
  /** Asks the kernel, once the faults that are placed let it. */
  asked<T>(name: string, call: () => MaybePromise<T>): MaybePromise<T>;
  /** Runs in the process, when something reaches it from outside. */
  arrive(fn: () => void): void;
  /** The same, after the time that it takes to notice that a connection is gone. */
  notice(fn: () => void): void;
}

const NO_WRITES = new Set([
  'read',
  'log',
  'list',
  'due',
  'count',
  'countOf',
  'oldest',
  'endedOf',
  'kept',
  'keptByAll',
  'now',
  'subscribe',
  'send',
]);

/** Whether a call with these names is a trip of writes. */
export const writes = (names: readonly string[]): boolean =>
  !names.some((name) => NO_WRITES.has(name));

/** An append that no kernel has yet: it may reach a store after the next claim. */
export const ASKED = 'an append that is asked for';

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
  records?(records: Records, data: StoreData, kind: Kind): Partial<Records>;
  instances?(instances: InstanceStore, deployment: Deployment): Partial<InstanceStore>;
}

/** One deployment in the store. */
export class Deployment {
  readonly mailboxes = new Map<string, Mailbox>();
  readonly leaseMs: number;
  readonly #kinds = new Map<string, StoreData>();
  readonly now: () => number;

  constructor(now: () => number, leaseMs: number) {
    this.now = now;
    this.leaseMs = leaseMs;
  }

  of({ name }: Kind): StoreData {
    let data = this.#kinds.get(name);
    if (data === undefined) this.#kinds.set(name, (data = new StoreData(this.now)));
    return data;
  }

  /** How many rows and entries there are. */
  get entries(): number {
    return [...this.#kinds.values()].reduce((sum, { size }) => sum + size, 0);
  }

  isAlive(id: string): boolean {
    return this.of(LEASES).isLiving(id);
  }

  /** The rows, as the process of this name writes them. */
  backend(process: string): Backend {
    return {
      where: 'the simulated store',
      now: this.now,
      write: (trip) => trip.map((write) => this.of(write.kind).write(inTexts(write), process)),
      read: (kind, id) => this.of(kind).row(id),
      log: (kind, id, stream) =>
        this.of(kind)
          .log(id)
          .map((entry) => (entry.stream === stream ? entry : withoutEvents(entry))),
      list: (kind, after, before, limit) => this.of(kind).living(after, before).slice(0, limit),
      due: (kind, after, until, limit) => this.of(kind).due(after, until).slice(0, limit),
      count: (kind, after, before) => this.of(kind).living(after, before).length,
      countOf: (kind, share) => this.of(kind).ofShare(share).length,
      oldest: (kind, share, most) => this.of(kind).ofShare(share).slice(0, most),
      endedOf: (kind, share) => this.of(kind).endedOf(share),
      kept: (kinds, share) => kinds.map((kind) => this.of(kind).kept.get(share) ?? 0),
      keptByAll: (kinds, most) => {
        const all = new Map<string, number>();
        for (const kind of kinds)
          for (const [share, bytes] of this.of(kind).kept)
            all.set(share, (all.get(share) ?? 0) + bytes);
        const shares = Array.from(all, ([share, bytes]) => ({ share, bytes })).sort(byBytes);
        return {
          bytes: shares.reduce((sum, { bytes }) => sum + bytes, 0),
          shares: shares.slice(0, most),
        };
      },
    };
  }
}

const withoutEvents = (entry: LogEntry): LogEntry => ({ ...entry, events: [] });

/** As a server keeps it. */
function inTexts(write: Write): Write {
  if (!isRowWrite(write))
    return {
      ...write,
      entries: write.entries.map((entry) => entryOfTexts(entryTexts(entry), true)),
    };
  return {
    ...write,
    row: write.row && rowOf({ ...write.row, ...textsOf(write.row) }, 'the simulated store'),
  };
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

  constructor({
    now,
    changes = {},
    carry = (_from, _to, message, put) => put(message),
  }: StoreServerOptions) {
    this.#now = now;
    this.changes = changes;
    this.carry = carry;
  }

  deployment({
    deployment: name,
    leaseMs,
  }: Pick<StoreOptions, 'deployment' | 'leaseMs'>): Deployment {
    let deployment = this.#deployments.get(name);
    if (deployment === undefined)
      this.#deployments.set(name, (deployment = new Deployment(() => this.#now(), leaseMs)));
    return deployment;
  }

  get entries(): number {
    return [...this.#deployments.values()].reduce((sum, { entries }) => sum + entries, 0);
  }
}

export class SimStore implements Store {
  readonly kind = 'simulated';
  readonly durable = true;
  readonly #server: StoreServer;
  readonly #port: Port;

  constructor(server: StoreServer, port: Port) {
    this.#server = server;
    this.#port = port;
  }

  open(options: StoreOptions): OpenStore {
    const deployment = this.#server.deployment(options);
    const { changes } = this.#server;
    const view = openView(
      {
        backend: this.#backend(deployment, options.time),
        mailboxes: () => this.#mailboxes(deployment),
      },
      options,
    );
    return {
      ...view,
      records: (kind) => {
        const [records, data] = [view.records(kind), deployment.of(kind)];
        const replay: Records['replay'] = async (id, stream, after) => {
          const outcome = await records.replay(id, stream, after);
          data.replays.push({ at: data.now(), id, stream, after });
          return outcome;
        };
        const append: Records['append'] = (request) =>
          this.#port.asked(ASKED, () => records.append(request));
        return replaced(records, { replay, append, ...changes.records?.(records, data, kind) });
      },
      instances: replaced(view.instances, changes.instances?.(view.instances, deployment)),
    };
  }

  #backend(deployment: Deployment, time: TimeProvider): Backend {
    const port = this.#port;
    const rows = deployment.backend(port.process.name);
    const clock = new ServerClock({ time, ask: () => port.call(['now'], deployment.now) });
    const through =
      <A extends readonly unknown[], R>(name: string, method: (...given: A) => R | Promise<R>) =>
      (...given: A): Promise<R> =>
        port.call([name], () => method(...given), given);
    return {
      ...rows,
      now: () => clock.now(),
      write: (trip) => {
        const names = trip.map((write) => nameOf(write, deployment.of(write.kind)));
        return port.call(names, () => rows.write(trip), trip);
      },
      read: through('read', rows.read),
      log: through('log', rows.log),
      list: through('list', rows.list),
      due: through('due', rows.due),
      count: through('count', rows.count),
      countOf: through('countOf', rows.countOf),
      oldest: through('oldest', rows.oldest),
      endedOf: through('endedOf', rows.endedOf),
      kept: through('kept', rows.kept),
      keptByAll: through('keptByAll', rows.keptByAll),
    };
  }

  #mailboxes(deployment: Deployment): Mailboxes {
    const { mailboxes } = deployment;
    const port = this.#port;
    return {
      open: (id, receive, lost) => {
        mailboxes.set(id, new Mailbox(port, receive, lost));
        return id;
      },
      check: (id) => port.call(['subscribe'], () => mailboxes.get(id)?.open()),
      send: (from, to, message) => {
        const text = JSON.stringify(message);
        return port.call(['send'], () => {
          const mailbox = mailboxes.get(to);
          if (mailbox?.subscribed !== true || !deployment.isAlive(to)) return 'suspect';
          const put = (placed: object): void => mailbox.put(from, placed as InstanceMessage);
          this.#server.carry(
            mailboxes.get(from),
            mailbox,
            JSON.parse(text) as InstanceMessage,
            put,
          );
          return 'sent';
        });
      },
      close: (id) => mailboxes.get(id)?.drop(false),
    };
  }
}

/** What a write does, for those who place faults. */
function nameOf(write: Write, data: StoreData): string {
  if (!isRowWrite(write))
    return write.entries.some(({ events }) => events.length > 0) ? 'append' : 'mark';
  if (write.row === null) return 'drop';
  const name = changeOf(data.record(write.id), write.row.value);
  return write.kind === LEASES ? `${name} a lease` : name;
}

/** The same object with other methods in place of some. */
export function replaced<T extends object>(of: T, own: Partial<T> = {}): T {
  return new Proxy(of, {
    get: (_, name) => {
      const member: unknown = Reflect.get(own, name) ?? Reflect.get(of, name);
      return typeof member === 'function' ? (member.bind(of) as unknown) : member;
    },
  });
}
