/**
 * The store of a world, as each instance sees it: durable, shared, its messages copied. A call travels through the port
 * of its process, where faults happen; without faults it keeps the store contract.
 *
 * A mailbox is subscribed from `announce` on. When its subscription drops, messages to it are lost and senders learn it
 * `'suspect'`, until a `renew` opens it again.
 */
import { internal } from '../../src/errors.ts';
import type {
  InstanceMessage,
  InstanceStore,
  Kind,
  OpenStore,
  Records,
  Store,
  StoreOptions,
} from '../../src/stores/store.ts';
import { StoreData } from './store-data.ts';
import { ALL_RULES, type StoreRules } from './store-rules.ts';
import { checkedKind } from '../../src/stores/shared/kinds.ts';
import { Secrets, SECRETS } from '../../src/stores/shared/secrets.ts';

/** The way of one process to the store. */
export interface Port {
  readonly process: { readonly name: string };
  /** `effect` happens in the store, in a moment; or does not. */
  call<T>(name: string, effect: () => T, about?: unknown): Promise<T>;
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
  readonly id: string;
  readonly port: Port;
  readonly #receive: (from: string, message: InstanceMessage) => void;
  readonly #lost: () => void;
  subscribed = true;

  constructor(
    id: string,
    port: Port,
    receive: (from: string, message: InstanceMessage) => void,
    lost: (() => void) | undefined,
  ) {
    this.id = id;
    this.port = port;
    this.#receive = receive;
    this.#lost = lost ?? (() => undefined);
  }

  /** Messages are lost, and no instance learns it until it is opened again: a half-open connection. */
  deaf = false;

  put(from: string, message: InstanceMessage): void {
    if (!this.subscribed || this.deaf) return;
    this.port.arrive(() => {
      try {
        if (this.subscribed) this.#receive(from, message);
      } catch {
        // As in the stores: an error of a receiver is no concern of the mailbox. An instance never throws here.
      }
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

/** One deployment in the store. */
export class Deployment {
  /** Of the first kind: sessions. It has the leases too. */
  readonly data: StoreData;
  readonly #kinds = new Map<string, StoreData>();
  readonly #dataOf: (kind: Kind) => StoreData;
  readonly mailboxes = new Map<string, Mailbox>();

  constructor([first]: readonly Kind[], dataOf: (kind: Kind) => StoreData) {
    if (first === undefined) throw new Error('no kind of records');
    this.#dataOf = dataOf;
    this.data = this.of(first);
    this.data.leases.listens = (id) => this.mailboxes.get(id)?.subscribed === true;
  }

  of(kind: Kind): StoreData {
    let data = this.#kinds.get(kind.name);
    if (data === undefined) this.#kinds.set(kind.name, (data = this.#dataOf(kind)));
    return data;
  }

  /** Whether a message to this instance would arrive. */
  listening(id: string): Mailbox | undefined {
    const mailbox = this.mailboxes.get(id);
    return mailbox?.subscribed === true && this.data.leases.alive(id) ? mailbox : undefined;
  }
}

export interface StoreServerOptions {
  now(): number;
  readonly rules?: StoreRules;
  readonly carry?: Carry;
}

/** What is behind all ports. */
export class StoreServer {
  readonly #options: StoreServerOptions;
  readonly #deployments = new Map<string, Deployment>();

  constructor(options: StoreServerOptions) {
    this.#options = options;
  }

  deployment(options: Pick<StoreOptions, 'name' | 'kinds' | 'leaseMs'>): Deployment {
    let deployment = this.#deployments.get(options.name);
    if (deployment === undefined) {
      const { now, rules = ALL_RULES } = this.#options;
      const dataOf = (kind: Kind): StoreData => new StoreData({ now, rules, kind, leaseMs: options.leaseMs });
      this.#deployments.set(options.name, (deployment = new Deployment(options.kinds, dataOf)));
    }
    return deployment;
  }

  carry(...[from, to, message, put]: Parameters<Carry>): void {
    if (this.#options.carry === undefined) put(message);
    else this.#options.carry(from, to, message, put);
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
    const secrets = new Secrets(deployment.of(SECRETS), options.random);
    const port = this.#port;
    const own: string[] = [];
    const recordsOf = (data: StoreData): Records => ({
      create: (record, expiresInMs, dueInMs) => port.call('create', () => data.create(record, expiresInMs, dueInMs)),
      read: (id) => port.call('read', () => data.read(id)),
      claim: (id, from, me) => {
        const { epoch, owner } = from;
        return port.call('claim', () => data.claim(id, { epoch, owner }, me), { id, epoch, owner, me });
      },
      save: (id, fence, { ...patch }) => {
        const name = patch.release === true ? 'release' : 'save';
        return port.call(name, () => data.save(id, fence, patch), { id, ...fence, ...patch });
      },
      add: (id, field, text) => port.call('add', () => data.add(id, field, text)),
      end: (id, { ...seen }, outcome, keepMs) => port.call('end', () => data.end(id, seen, outcome, keepMs)),
      drop: (id, endedAt) => port.call('drop', () => data.drop(id, endedAt)),
      list: (limit, cursor, group) => port.call('list', () => data.list(limit, cursor, group)),
      count: (group) => port.call('count', () => data.count(group)),
      due: (limit, cursor) => port.call('due', () => data.due(limit, cursor)),
      append: (request) => {
        const name = request.stream === null ? 'mark' : 'append';
        return port.call(name, () => data.append(request, port.process.name), request);
      },
      replay: (id, stream, after) => port.call('replay', () => data.replay(id, stream, after), { stream, after }),
      trim: () => port.call('trim', () => data.trim()),
    });
    return {
      records: (kind) => recordsOf(deployment.of(checkedKind(kind))),
      instances: new SimInstances(this.#server, deployment, port, own),
      secret: (name, keepMs) => port.call('secret', () => secrets.get(name, keepMs) as Uint8Array),
      close: () =>
        port.call('close', () => {
          for (const id of own.splice(0)) leave(deployment, id);
        }),
    };
  }
}

function leave(deployment: Deployment, id: string): void {
  deployment.data.leases.leave(id);
  deployment.mailboxes.get(id)?.drop(false);
  deployment.mailboxes.delete(id);
}

class SimInstances implements InstanceStore {
  readonly #server: StoreServer;
  readonly #deployment: Deployment;
  readonly #port: Port;
  readonly #own: string[];

  constructor(server: StoreServer, deployment: Deployment, port: Port, own: string[]) {
    this.#server = server;
    this.#deployment = deployment;
    this.#port = port;
    this.#own = own;
  }

  announce: InstanceStore['announce'] = (lease, receive, lost) =>
    this.#port.call('announce', () => {
      const { data, mailboxes } = this.#deployment;
      if (!data.leases.announce(lease)) throw internal(new Error(`instance ${lease.id} was announced before`));
      mailboxes.set(lease.id, new Mailbox(lease.id, this.#port, receive, lost));
      this.#own.push(lease.id);
    });

  renew: InstanceStore['renew'] = (id, state) =>
    this.#port.call('renew', () => {
      const mailbox = this.#deployment.mailboxes.get(id);
      if (mailbox !== undefined && this.#deployment.data.leases.alive(id)) mailbox.open();
      return this.#deployment.data.leases.renew(id, state);
    });

  read: InstanceStore['read'] = (id) => this.#port.call('lease', () => this.#deployment.data.leases.get(id));

  list: InstanceStore['list'] = () => this.#port.call('leases', () => this.#deployment.data.leases.all());

  send: InstanceStore['send'] = (from, to, message) => {
    const text = JSON.stringify(message);
    return this.#port.call('send', () => {
      const mailbox = this.#deployment.listening(to);
      if (mailbox === undefined) return 'suspect';
      this.#carry(from, mailbox, text);
      return 'sent';
    });
  };

  bury: InstanceStore['bury'] = (lease) => this.#port.call('bury', () => this.#deployment.data.leases.bury(lease));

  leave: InstanceStore['leave'] = (id) => this.#port.call('leave', () => leave(this.#deployment, id));

  publish: InstanceStore['publish'] = (from, message) => {
    const text = JSON.stringify(message);
    return this.#port.call('publish', () => {
      for (const { id } of this.#deployment.data.leases.all()) {
        const mailbox = id === from ? undefined : this.#deployment.listening(id);
        if (mailbox !== undefined) this.#carry(from, mailbox, text);
      }
    });
  };

  #carry(from: string, to: Mailbox, text: string): void {
    const message = JSON.parse(text) as InstanceMessage;
    const put = (placed: object): void => to.put(from, placed as InstanceMessage);
    this.#server.carry(this.#deployment.mailboxes.get(from), to, message, put);
  }
}
