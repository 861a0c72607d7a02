/**
 * The connection of a store: requests with deadlines, and subscriptions.
 *
 *     up ──disconnect──▶ down ──reconnect──▶ up          the client connects again by itself, for ever
 *     up ──no answer──▶ silent ──a ping is answered──▶ up
 *     any ──close()──▶ closed
 *
 * What is asked while it is down or silent waits, but only at first: in a longer outage everything fails at once, and nothing
 * is sent later than it was asked for. What was asked before is refused when the
 * connection is lost, or at its deadline; whether the server has done it then is unknown. A server that stands still is
 * noticed by the first deadline that passes.
 *
 * A connection that the caller owns is used as it is and never closed.
 */
import { afterTurn, base64url, type RandomSource } from '../../options/system.ts';
import type { TimeProvider } from '../../types.ts';
import type { NatsClient, NatsHeaders, NatsMessage, NatsPackage, NatsStatus, NatsSubscription } from './client.ts';
import { clientClosed, disconnected, forbidden, natsFailure, noAnswer, silentServer, storeClosed } from './failures.ts';

/** How often deadlines are looked at: a request may be late by so much. */
const TICK_MS = 25;
/** A new connection to a server that is there takes less. */
const SHORT_OUTAGE_MS = 1_000;
/** A server that is there answers a ping sooner. */
const PING_MS = 250;
/** How many may wait for it. */
const WAITING = 10_000;
/** A client that has given up (its authenticator failed, say) is made anew after so long. */
const RENEW_MS = 1_000;

/** No other connection has the same. */
const INBOX_BYTES = 9;

export type Headers = Readonly<Record<string, string>>;

/** Of a message that is larger than what the server takes at once. */
export interface Part {
  readonly body: Uint8Array;
  readonly headers?: Headers | undefined;
}

export interface LinkOptions {
  /** For messages, without what is secret. */
  readonly where: string;
  readonly nats: NatsPackage;
  readonly time: TimeProvider;
  readonly random: RandomSource;
  /** Makes a connection; undefined: it is the caller's. */
  connect?(): Promise<NatsClient>;
}

interface Pending {
  readonly subject: string;
  readonly since: number;
  readonly deadline: number;
  resolve(message: NatsMessage | undefined): void;
  reject(error: Error): void;
}

interface Listener {
  readonly subject: string;
  readonly receive: (message: NatsMessage) => void;
  subscription: NatsSubscription;
}

export class Link {
  readonly where: string;
  readonly #options: LinkOptions;
  #client: NatsClient;
  #state: 'up' | 'down' | 'silent' | 'closed' = 'up';
  #inbox = '';
  #requests = 0;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<Listener>();
  /** Called when messages to this process may be lost from now on. */
  readonly #lost = new Set<() => void>();
  #awaySince = 0;
  #losses = 0;
  readonly #waiting = new Set<() => void>();
  #flushing: Promise<void> | undefined;
  #ticking: unknown;
  #renewing: unknown;

  constructor(client: NatsClient, options: LinkOptions) {
    this.where = options.where;
    this.#options = options;
    this.#client = client;
    this.#attach(client);
  }

  /** By the monotonic clock. */
  now(): number {
    return this.#options.time.monotonic?.() ?? this.#options.time.now();
  }

  /** How often a connection was lost. */
  get losses(): number {
    return this.#losses;
  }

  get info(): NatsClient['info'] {
    return this.#client.info;
  }

  /** Resolves with the answer; `undefined`: nobody listens there. */
  async request(
    subject: string,
    body: Uint8Array,
    deadline: number,
    headers?: Headers,
  ): Promise<NatsMessage | undefined> {
    if (this.#state !== 'up') await this.#back(deadline);
    return this.#wait(subject, deadline, (no) => {
      const reply = `${this.#inbox}${no}`;
      this.#client.publish(
        subject,
        body,
        headers === undefined ? { reply } : { reply, headers: this.#encode(headers) },
      );
    });
  }

  /** A message in one or more parts. Resolves when the server has them. */
  async post(subject: string, parts: readonly Part[], deadline: number): Promise<'sent' | 'suspect'> {
    if (this.#state !== 'up') await this.#back(deadline);
    this.#check();
    let outcome: 'sent' | 'suspect' = 'sent';
    // What the server says of the last part comes before its answer to a ping that followed it.
    const no = this.#add(subject, deadline, (answer) => {
      if (answer === undefined) outcome = 'suspect';
    });
    try {
      for (const [n, { body, headers }] of parts.entries()) {
        const reply = n === parts.length - 1 ? { reply: `${this.#inbox}${no}` } : {};
        this.#client.publish(
          subject,
          body,
          headers === undefined ? reply : { ...reply, headers: this.#encode(headers) },
        );
      }
      await this.#flushTurn(deadline);
    } catch (error) {
      throw natsFailure(this.where, error);
    } finally {
      this.#pending.delete(no);
    }
    return outcome;
  }

  /** Resolves when the server has worked off what was sent before. */
  async flush(deadline: number): Promise<void> {
    await this.#wait('a ping', deadline, (no) => {
      this.#client.flush().then(
        () => this.#pending.get(no)?.resolve(undefined),
        () => this.#pending.get(no)?.reject(disconnected(this.where)),
      );
    });
  }

  /** Until the function that it returns is called, also over new connections. */
  listen(subject: string, receive: (message: NatsMessage) => void): () => void {
    if (this.#client.isClosed()) this.#check();
    const listener: Listener = { subject, receive, subscription: this.#subscribe(subject, receive) };
    this.#listeners.add(listener);
    return () => {
      if (!this.#listeners.delete(listener)) return;
      if (!this.#client.isClosed()) listener.subscription.unsubscribe();
    };
  }

  onLost(lost: () => void): () => void {
    this.#lost.add(lost);
    return () => void this.#lost.delete(lost);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#options.time.clearTimeout(this.#ticking);
    this.#options.time.clearTimeout(this.#renewing);
    this.#refuseAll(storeClosed(this.where));
    for (const go of this.#waiting) go();
    const client = this.#client;
    if (this.#options.connect !== undefined) return client.close();
    if (client.isClosed()) return;
    for (const { subscription } of this.#listeners) subscription.unsubscribe();
  }

  /** One ping for all that is posted in a turn. */
  #flushTurn(deadline: number): Promise<void> {
    return (this.#flushing ??= new Promise((resolve, reject) => {
      queueMicrotask(() => {
        this.#flushing = undefined;
        this.flush(deadline).then(resolve, reject);
      });
    }));
  }

  #wait(subject: string, deadline: number, send: (no: number) => void): Promise<NatsMessage | undefined> {
    return new Promise((resolve, reject) => {
      this.#check();
      const no = this.#add(subject, deadline, resolve, reject);
      try {
        send(no);
      } catch (error) {
        this.#pending.delete(no);
        throw natsFailure(this.where, error);
      }
    });
  }

  #add(
    subject: string,
    deadline: number,
    resolve: (message: NatsMessage | undefined) => void,
    reject: (error: Error) => void = () => undefined,
  ): number {
    const no = this.#requests++;
    const settled = (): void => void this.#pending.delete(no);
    this.#pending.set(no, {
      subject,
      since: this.now(),
      deadline,
      resolve: (message) => {
        settled();
        resolve(message);
      },
      reject: (error) => {
        settled();
        reject(error);
      },
    });
    this.#arm();
    return no;
  }

  /** Until it is up again; not in a longer outage, and not for longer than asked. */
  #back(deadline: number): Promise<void> {
    const now = this.now();
    const until = Math.min(deadline, this.#awaySince + (this.#state === 'silent' ? PING_MS : SHORT_OUTAGE_MS));
    if (now >= until || this.#waiting.size >= WAITING || this.#state === 'closed') return Promise.resolve();
    return new Promise((resolve) => {
      const { time } = this.#options;
      const go = (): void => {
        this.#waiting.delete(go);
        time.clearTimeout(timer);
        resolve();
      };
      const timer = time.setTimeout(go, until - now);
      this.#waiting.add(go);
    });
  }

  #check(): void {
    switch (this.#state) {
      case 'up':
        return;
      case 'down':
        throw this.#client.isClosed() && this.#options.connect === undefined
          ? clientClosed(this.where)
          : disconnected(this.where);
      case 'silent':
        throw silentServer(this.where);
      case 'closed':
        throw storeClosed(this.where);
    }
  }

  #encode(headers: Headers): NatsHeaders {
    const encoded = this.#options.nats.headers();
    for (const [name, value] of Object.entries(headers)) encoded.set(name, value);
    return encoded;
  }

  #attach(client: NatsClient): void {
    this.#client = client;
    this.#inbox = `${client.options?.inboxPrefix ?? '_INBOX'}.${base64url(this.#options.random(INBOX_BYTES))}.`;
    this.#subscribe(`${this.#inbox}*`, (message) => this.#answered(message));
    for (const listener of this.#listeners) {
      listener.subscription = this.#subscribe(listener.subject, listener.receive);
    }
    void this.#watch(client);
  }

  #subscribe(subject: string, receive: (message: NatsMessage) => void): NatsSubscription {
    return this.#client.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) receive(message);
      },
    });
  }

  #answered(message: NatsMessage): void {
    const no = Number(message.subject.slice(this.#inbox.length));
    const nobody = message.data.length === 0 && message.headers?.code === 503;
    this.#pending.get(no)?.resolve(nobody ? undefined : message);
  }

  async #watch(client: NatsClient): Promise<void> {
    for await (const status of client.status()) this.#told(status);
    if (this.#client === client) this.#gone();
  }

  #told({ type, error }: NatsStatus): void {
    if (this.#state === 'closed') return;
    if (type === 'disconnect') this.#down();
    else if (type === 'reconnect') this.#up();
    else if (type === 'error' && error?.subject !== undefined) this.#refused(error.subject, error);
  }

  /** In the order in which they came. */
  #up(): void {
    this.#state = 'up';
    for (const go of this.#waiting) go();
  }

  #down(): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#awaySince = this.now();
    this.#losses += 1;
    this.#refuseAll(disconnected(this.where));
    for (const lost of this.#lost) lost();
  }

  /** The client is closed for ever: by its owner, or because it gave up. */
  #gone(): void {
    if (this.#state === 'closed') return;
    this.#down();
    const { connect, time } = this.#options;
    if (connect === undefined) return;
    this.#renewing = time.setTimeout(() => {
      connect().then(
        (client) => {
          if (this.#state === 'closed') return void client.close();
          this.#attach(client);
          this.#up();
        },
        () => this.#gone(),
      );
    }, RENEW_MS);
  }

  #refused(subject: string, cause: Error): void {
    for (const pending of this.#pending.values()) {
      if (pending.subject === subject) pending.reject(forbidden(this.where, subject, cause));
    }
  }

  #refuseAll(error: Error): void {
    for (const pending of this.#pending.values()) pending.reject(error);
  }

  #arm(): void {
    this.#ticking ??= this.#options.time.setTimeout(() => {
      // After what has arrived was read: a process that was busy for long has its answers already.
      afterTurn(() => {
        this.#ticking = undefined;
        this.#lookAtDeadlines();
        if (this.#pending.size > 0 && this.#state !== 'closed') this.#arm();
      });
    }, TICK_MS);
  }

  #lookAtDeadlines(): void {
    const now = this.now();
    let late = false;
    for (const pending of this.#pending.values()) {
      if (pending.deadline > now) continue;
      late = true;
      pending.reject(noAnswer(this.where, now - pending.since));
    }
    if (late && this.#state === 'up') this.#probe();
  }

  /** Somebody may still be there, and only one stream without a leader: a ping tells. */
  #probe(): void {
    this.#state = 'silent';
    this.#awaySince = this.now();
    const answered = (): void => {
      if (this.#state === 'silent') this.#up();
    };
    this.#client.flush().then(answered, () => undefined);
  }
}
