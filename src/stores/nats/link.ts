/**
 * The connection of a store: requests with deadlines, and subscriptions.
 *
 *     up, silent ──disconnect──▶ down ──reconnect──▶ up  the client reconnects by itself, without a limit
 *     up ──no answer──▶ silent ──a ping is answered──▶ up
 *     any ──close()──▶ closed
 *
 * The client's events and missed deadlines move the state. Requests made while the connection is down or silent wait
 * for a short time. In a longer outage they fail at once, so that nothing is sent late. Earlier requests fail when the
 * connection is lost or at their deadline; the server may or may not have processed them. A frozen server is noticed at
 * the first missed deadline.
 *
 * The caller's own connection is used as it is and never closed.
 */
import { afterReading, backoffMs, base64url, monotonicMs, type RandomSource } from '../../base/system.ts';
import { follow, type Transitions } from '../../base/transitions.ts';
import type { TimeProvider } from '../../types.ts';
import type { NatsClient, NatsMessage, NatsPackage, NatsStatus, NatsSubscription } from './client.ts';
import { storeClosed } from '../shared/failures.ts';
import { PendingRequests } from './pending-requests.ts';
import { clientClosed, disconnected, forbidden, natsFailure, silentServer } from './failures.ts';

/** Reconnecting to a running server takes less. */
const SHORT_OUTAGE_MS = 1_000;
/** A running server answers a ping sooner. */
const PING_MS = 250;
/** How many requests may wait for the connection. */
const MAX_WAITING = 10_000;
/** The pauses before a client that gave up (for example after a failed authentication) is replaced. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;

/** Makes the inbox unique among connections. */
const INBOX_BYTES = 9;

type LinkState = 'up' | 'down' | 'silent' | 'closed';

const STATES: Transitions<LinkState> = {
  up: ['down', 'silent', 'closed'],
  down: ['up', 'closed'],
  silent: ['up', 'down', 'closed'],
  closed: [],
};

export type Headers = Readonly<Record<string, string>>;

/** A piece of a message that is larger than the server accepts. */
export interface Part {
  readonly body: Uint8Array;
  readonly headers?: Headers | undefined;
}

export interface NatsLinkOptions {
  /** For error texts, without secrets. */
  readonly where: string;
  readonly nats: NatsPackage;
  readonly time: TimeProvider;
  readonly random: RandomSource;
  /** Makes a connection; undefined for the caller's own connection. */
  connect?(): Promise<NatsClient>;
}

interface Listener {
  readonly subject: string;
  readonly receive: (message: NatsMessage) => void;
  subscription: NatsSubscription;
}

export class NatsLink {
  readonly where: string;
  readonly #options: NatsLinkOptions;
  #client: NatsClient;
  #state: LinkState = 'up';
  #inbox = '';
  readonly #pending: PendingRequests;
  readonly #listeners = new Set<Listener>();
  /** Called when messages to this process may be lost from now on. */
  readonly #lostListeners = new Set<() => void>();
  #awaySince = 0;
  #losses = 0;
  readonly #waiting = new Set<() => void>();
  #flushing: Promise<void> | undefined;
  #renewing: unknown;

  constructor(client: NatsClient, options: NatsLinkOptions) {
    this.where = options.where;
    this.#options = options;
    this.#client = client;
    this.#pending = new PendingRequests({
      where: options.where,
      time: options.time,
      now: () => this.now(),
      late: () => this.#probe(),
    });
    this.#attach(client);
  }

  #become(next: LinkState): void {
    this.#state = follow(STATES, this.#state, next);
  }

  /** On the monotonic clock. */
  now(): number {
    return monotonicMs(this.#options.time);
  }

  /** How often a connection was lost. */
  get losses(): number {
    return this.#losses;
  }

  get info(): NatsClient['info'] {
    return this.#client.info;
  }

  /** Resolves with the answer; `undefined`: the subject has no listener. */
  async request(
    subject: string,
    body: Uint8Array,
    deadline: number,
    headers?: Headers,
  ): Promise<NatsMessage | undefined> {
    if (this.#state !== 'up') await this.#untilUp(deadline);
    return this.#wait(subject, deadline, (no) => {
      this.#publish(subject, { body, headers }, no);
    });
  }

  /** Sends a message in one or more parts. Resolves when the server has them. */
  async post(subject: string, parts: readonly Part[], deadline: number): Promise<'sent' | 'suspect'> {
    if (this.#state !== 'up') await this.#untilUp(deadline);
    this.#check();
    let outcome: 'sent' | 'suspect' = 'sent';
    // The server reports a missing listener before it answers the ping that follows.
    const no = this.#pending.add(subject, deadline, (answer) => {
      if (answer === undefined) outcome = 'suspect';
    });
    try {
      for (const part of parts) this.#publish(subject, part, part === parts.at(-1) ? no : undefined);
      await this.#flushTurn(deadline);
    } catch (error) {
      throw natsFailure(this.where, error);
    } finally {
      this.#pending.forget(no);
    }
    return outcome;
  }

  /** Resolves when the server has processed everything sent before. */
  async flush(deadline: number): Promise<void> {
    await this.#wait('a ping', deadline, (no) => {
      this.#client.flush().then(
        () => this.#pending.resolve(no, undefined),
        () => this.#pending.reject(no, disconnected(this.where)),
      );
    });
  }

  /** Subscribes until the returned function is called, also across reconnections. */
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
    this.#lostListeners.add(lost);
    return () => void this.#lostListeners.delete(lost);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#become('closed');
    this.#options.time.clearTimeout(this.#renewing);
    this.#pending.rejectAll(storeClosed(this.where));
    for (const go of this.#waiting) go();
    const client = this.#client;
    if (this.#options.connect !== undefined) return client.close();
    if (client.isClosed()) return;
    for (const { subscription } of this.#listeners) subscription.unsubscribe();
  }

  /** One ping for all messages of a turn. */
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
      const no = this.#pending.add(subject, deadline, resolve, reject);
      try {
        send(no);
      } catch (error) {
        this.#pending.forget(no);
        throw natsFailure(this.where, error);
      }
    });
  }

  /** Waits until the connection is up, but not in a longer outage and not beyond the deadline. */
  #untilUp(deadline: number): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING || this.#state === 'closed') return Promise.resolve();
    const until = Math.min(deadline, this.#awaySince + (this.#state === 'silent' ? PING_MS : SHORT_OUTAGE_MS));
    const left = until - this.now();
    return new Promise((resolve) => {
      const { time } = this.#options;
      const go = (): void => {
        this.#waiting.delete(go);
        time.clearTimeout(timer);
        resolve();
      };
      // Reads what has arrived first: the connection may be up again.
      const late = (): void => afterReading(go);
      const timer: unknown = left > 0 ? time.setTimeout(late, left) : late();
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

  /** `no`: the number of the request that the server answers. */
  #publish(subject: string, { body, headers }: Part, no: number | undefined): void {
    const encoded = headers && this.#options.nats.headers();
    for (const [name, value] of Object.entries(headers ?? {})) encoded?.set(name, value);
    this.#client.publish(subject, body, {
      ...(no !== undefined && { reply: `${this.#inbox}${no}` }),
      ...(encoded !== undefined && { headers: encoded }),
    });
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
    const unanswered = message.data.length === 0 && message.headers?.code === 503;
    this.#pending.resolve(no, unanswered ? undefined : message);
  }

  async #watch(client: NatsClient): Promise<void> {
    for await (const status of client.status()) this.#onStatus(status);
    if (this.#client === client) this.#onClientClosed();
  }

  #onStatus({ type, error }: NatsStatus): void {
    if (this.#state === 'closed') return;
    if (type === 'disconnect') this.#down();
    else if (type === 'reconnect') this.#up();
    else if (type === 'error' && error?.subject !== undefined)
      this.#pending.rejectSubject(error.subject, forbidden(this.where, error.subject, error));
  }

  /** Continues waiting requests in their order. */
  #up(): void {
    if (this.#state !== 'up') this.#become('up');
    for (const go of this.#waiting) go();
  }

  #down(): void {
    if (this.#state === 'down') return;
    this.#become('down');
    this.#awaySince = this.now();
    this.#losses += 1;
    this.#pending.rejectAll(disconnected(this.where));
    for (const lost of this.#lostListeners) lost();
  }

  /** The client is closed for good, by its owner or because it gave up. */
  #onClientClosed(): void {
    if (this.#state === 'closed') return;
    this.#down();
    this.#renew(0);
  }

  /** Until the link is closed: every request fails until there is a connection, and no caller makes one. */
  #renew(tries: number): void {
    const { connect, time, random } = this.#options;
    if (connect === undefined || this.#state === 'closed') return;
    this.#renewing = time.setTimeout(
      () => {
        connect().then(
          (client) => {
            if (this.#state === 'closed') return void client.close();
            this.#attach(client);
            this.#up();
          },
          () => this.#renew(tries + 1),
        );
      },
      backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, random),
    );
  }

  /** The missed deadline may be a single stream without a leader; a ping shows whether the server answers. */
  #probe(): void {
    if (this.#state !== 'up') return;
    this.#become('silent');
    this.#awaySince = this.now();
    const answered = (): void => {
      if (this.#state === 'silent') this.#up();
    };
    this.#client.flush().then(answered, () => undefined);
  }
}
