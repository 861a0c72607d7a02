/**
 * The client package `@nats-io/transport-node`, loaded when the first store is opened, and no more of it than is used here.
 * JetStream itself is spoken by `jetstream.ts`: its requests are JSON, and each needs a deadline of its own.
 */
import { storeAway } from '../../errors.ts';

export interface NatsHeaders {
  /** The status of a message that the server itself sent; 0: it has none. */
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

/** What is told of a connection; `error` with `subject`: something was not permitted. */
export interface NatsStatus {
  readonly type: string;
  readonly error?: Error & { readonly operation?: string; readonly subject?: string };
}

export interface NatsInfo {
  readonly version: string;
  readonly max_payload: number;
  readonly headers?: boolean;
  readonly jetstream?: boolean;
}

/** One connection; it comes back by itself when it was lost, with its subscriptions. */
export interface NatsClient {
  readonly info?: NatsInfo | undefined;
  /** As it was made; not in the type of the package. */
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
    const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
    const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    const why = missing
      ? 'is not installed: npm install @nats-io/transport-node'
      : `could not be loaded (${String(message)})`;
    throw storeAway(`nats() needs the package @nats-io/transport-node, which ${why}`, cause);
  }
}
