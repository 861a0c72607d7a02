/**
 * The package `@nats-io/transport-node`, loaded when the first store is opened, and types for the part of it that is
 * used. `jetstream.ts` speaks JetStream itself: the requests are JSON, and each needs its own deadline.
 */
import { packageFailure } from '../shared/load-package.ts';

interface NatsHeaders {
  /** The status of a message from the server itself; 0 without one. */
  readonly code: number;
  get(name: string): string;
  set(name: string, value: string): void;
}

export interface NatsMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers?: NatsHeaders | undefined;
}

export interface NatsSubscription {
  unsubscribe(): void;
}

/** An event of a connection. An `error` with a `subject`: that subject is not permitted. */
export interface NatsStatus {
  readonly type: string;
  readonly error?: Error & { readonly operation?: string; readonly subject?: string };
}

interface NatsInfo {
  readonly version: string;
  readonly max_payload: number;
  readonly headers?: boolean;
  readonly jetstream?: boolean;
}

/** One connection. After a loss it reconnects by itself and restores its subscriptions. */
export interface NatsClient {
  readonly info?: NatsInfo | undefined;
  /** The options of the connection. They are not in the package's type. */
  readonly options?: { readonly inboxPrefix?: string | undefined };
  publish(subject: string, data: Uint8Array, options?: { reply?: string; headers?: NatsHeaders }): void;
  subscribe(subject: string, options: { callback(error: Error | null, message: NatsMessage): void }): NatsSubscription;
  flush(): Promise<void>;
  status(): AsyncIterable<NatsStatus>;
  closed(): Promise<unknown>;
  isClosed(): boolean;
  getServer(): string;
  close(): Promise<void>;
}

export interface NatsPackage {
  connect(options: object): Promise<NatsClient>;
  headers(): NatsHeaders;
}

export async function loadNats(): Promise<NatsPackage> {
  try {
    return await import('@nats-io/transport-node');
  } catch (cause) {
    throw packageFailure('nats()', '@nats-io/transport-node', cause);
  }
}
