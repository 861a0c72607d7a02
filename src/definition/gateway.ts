/**
 * A definition without private members of the SDK: the server is connected once, and the messages of all sessions pass
 * through this connection. The way for a version of the SDK in which a member moved that `sdk-server.ts` names.
 *
 *     session ─▶ its transport ─▶ GatewaySession ─▶ Gateway ─▶ the one connection ─▶ the server
 *
 * What tells sessions apart is here, not in the server: a request gets a number, and its answer its id back. What the
 * server sends belongs to the session whose request it names or, by the async context, whose handler sends it. The
 * server sees one client, which can everything: capabilities and log levels of the clients are checked here. What
 * belongs to no session is refused or dropped.
 *
 * It serves sessions alone. These need the private members: 2026-07-28, shared lists, handlers of `initialize` and
 * `logging/setLevel`, capabilities that are registered after the first session, and options of
 * `configureSessionOptions` besides `instructions` and `capabilities`.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { JSONRPCMessage, RequestId, TransportSendOptions } from '@modelcontextprotocol/server';
import { outsideHandler } from '../errors.ts';
import { isThenable } from '../options/checks.ts';
import { afterTurn } from '../base/system.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { LEGACY_VERSIONS } from '../protocol/versions.ts';
import { currentCall } from '../session/calls/call.ts';
import { Announcements, type ServingEndpoint } from './announcements.ts';
import { GatewayEntry, type Message } from './gateway-entry.ts';
import { keepSessionsApart } from './gateway-server.ts';
import { GatewaySession, lackOf } from './gateway-session.ts';
import type { HostedDefinition } from './hosted.ts';
import type { SdkServer } from '../sdk/sdk-server.ts';
import { overrides } from '../sdk/server-shape.ts';
import type { McpEndpointFactory } from '../types.ts';

type Entry = GatewayEntry<GatewaySession>;

/** The entry for which code of the server runs. */
const currentEntry = new AsyncLocalStorage<Entry>();

/** The client that the server sees. */
const EVERY_CAPABILITY = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
};

interface Connectable {
  connect(transport: object): Promise<void>;
}

const NEWEST = LEGACY_VERSIONS[0];

const CLOSED = { code: -32_000, message: 'Connection closed' };

export class Gateway implements HostedDefinition {
  readonly announcements = new Announcements();
  readonly server: SdkServer;
  readonly highLevel: object | undefined;
  readonly transport: GatewayTransport;
  readonly #running = new Map<RequestId, Entry>();
  readonly #asked = new Map<RequestId, Entry>();
  readonly #close: () => Promise<void>;
  #connection: Promise<void> | undefined = undefined;
  #last = 0;
  #hosted = true;

  constructor(server: SdkServer, highLevel: object | undefined) {
    this.server = server;
    this.highLevel = highLevel;
    this.transport = new GatewayTransport(this);
    this.#close = server.close.bind(server);
    keepSessionsApart(server, this);
  }

  readonly factory: McpEndpointFactory = ({ serverOptions }) => new GatewaySession(this, serverOptions).face;

  serve(endpoint: ServingEndpoint): void {
    this.announcements.endpoint = endpoint;
  }

  /** Nothing that the server answers is shared. */
  handlerOf(): unknown {
    return undefined;
  }

  isReplacedIn(): boolean {
    return true;
  }

  host(): boolean {
    if (this.#hosted) return false;
    this.#hosted = true;
    return true;
  }

  release(): void {
    this.announcements.endpoint = undefined;
    this.#hosted = false;
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.then(this.#close).catch(() => {});
  }

  /** Resolves when the server takes messages. */
  async open(session: GatewaySession): Promise<void> {
    await (this.#connection ??= this.#connect());
    if (this.transport.scopeChallenge !== undefined)
      session.transport?.setScopeChallengeResolver?.(this.transport.scopeChallenge);
  }

  /** A `connect` that the application replaced in its `McpServer` connects each session instead. */
  async #connect(): Promise<void> {
    const { server, highLevel = server } = this;
    const connecting = overrides(highLevel, 'connect') ? server : highLevel;
    await (connecting as unknown as Connectable).connect(this.transport);
  }

  /** The entry of the handler that runs. */
  get #present(): Entry | undefined {
    const entry = currentEntry.getStore();
    return entry?.open === true ? entry : undefined;
  }

  /** The session whose handler runs, for the server's transport. */
  get presentSession(): GatewaySession | undefined {
    return this.#present?.session;
  }

  /** Runs code of the application that belongs to a session and is no handler. */
  runFor<T>(session: GatewaySession, run: () => T): T {
    const entry = new GatewayEntry(session);
    const result = currentEntry.run(entry, run);
    const close = (): void => entry.close();
    if (isThenable(result)) Promise.resolve(result).then(close, close);
    else this.#closeSoon(entry);
    return result;
  }

  // ——— from clients ———

  receive(session: GatewaySession, message: Message, extra: unknown): void {
    const { id, method } = message;
    if (method === undefined) return this.#answered(session, message);
    if (id === undefined) return this.#notified(session, message, extra);
    if (method === 'initialize') return void this.#initialize(session, id, message, extra);
    if (method === 'logging/setLevel' && session.hasLevels) return session.setLevel(id, message.params?.['level']);
    const number = this.#number(new GatewayEntry(session, id));
    session.running.set(id, number);
    this.#dispatch(number, { ...message, id: number }, extra);
  }

  #number(entry: Entry): number {
    this.#last += 1;
    this.#running.set(this.#last, entry);
    return this.#last;
  }

  #dispatch(number: number, message: Message, extra: unknown): void {
    const entry = this.#running.get(number);
    if (entry === undefined) return;
    const run = (): Promise<void> => {
      currentEntry.run(entry, () => this.transport.onmessage?.(message, extra));
      return entry.closed;
    };
    const call = currentCall.getStore();
    try {
      // Its places in the limits are held until it is answered or cancelled.
      void (call === undefined ? run() : call.handledBy(this, run));
    } catch (cause) {
      this.#forget(number, entry);
      throw cause;
    }
  }

  #forget(number: RequestId, entry: Entry): void {
    this.#running.delete(number);
    if (entry.clientId !== undefined) entry.session?.running.delete(entry.clientId);
    entry.close();
  }

  /** Asks the server itself. */
  async #ask(method: string, params: Readonly<Record<string, unknown>>, extra: unknown): Promise<Message> {
    const entry = new GatewayEntry<GatewaySession>(undefined);
    const number = this.#number(entry);
    return new Promise((resolve) => {
      entry.answer = resolve;
      currentEntry.run(entry, () => this.transport.onmessage?.({ jsonrpc: '2.0', id: number, method, params }, extra));
    });
  }

  /** The server sees the same client each time, and is left at the newest version. */
  async #initialize(session: GatewaySession, id: RequestId, message: Message, extra: unknown): Promise<void> {
    const { protocolVersion, capabilities, clientInfo } = message.params ?? {};
    const client = { capabilities: EVERY_CAPABILITY, clientInfo: { name: 'sojourn', version: '1.0.0' } };
    const answer = await this.#ask('initialize', { protocolVersion, ...client }, extra);
    if (protocolVersion !== NEWEST) await this.#ask('initialize', { protocolVersion: NEWEST, ...client }, extra);
    const result = isObject(answer.result) ? { result: session.opened(capabilities, clientInfo, answer.result) } : {};
    await session.send({ ...answer, ...result, id });
  }

  #notified(session: GatewaySession, message: Message, extra: unknown): void {
    const { method, params } = message;
    if (method === 'notifications/cancelled')
      return this.#cancelled(session, params?.['requestId'] as RequestId, extra);
    if (method === 'notifications/progress') {
      const asked = this.#asked.get(Number(params?.['progressToken']));
      if (asked?.session !== session) return;
    }
    const entry = new GatewayEntry(session);
    currentEntry.run(entry, () => this.transport.onmessage?.(message, extra));
    this.#closeSoon(entry);
  }

  /** The SDK does not say when the handler of a notification settles. It may ask its client, and send more then. */
  #closeSoon(entry: Entry): void {
    if (entry.clientId !== undefined) return;
    afterTurn(() => {
      if (entry.questions === 0) entry.close();
    });
  }

  #cancelled(session: GatewaySession, id: RequestId, extra: unknown): void {
    const number = session.running.get(id);
    const entry = number === undefined ? undefined : this.#running.get(number);
    if (number === undefined || entry === undefined) return;
    const params = { requestId: number };
    currentEntry.run(entry, () =>
      this.transport.onmessage?.({ jsonrpc: '2.0', method: 'notifications/cancelled', params }, extra),
    );
    this.#running.delete(number);
    session.running.delete(id);
    // What listens to the signal runs soon, and may ask who its client is.
    afterTurn(() => entry.close());
  }

  /** Only the client that was asked can answer. */
  #answered(session: GatewaySession, message: Message): void {
    const { id } = message;
    const entry = id === undefined ? undefined : this.#asked.get(id);
    if (id === undefined || entry?.session !== session) return;
    this.#asked.delete(id);
    entry.questions -= 1;
    this.transport.onmessage?.(message, undefined);
    this.#closeSoon(entry);
  }

  /** Its handlers are aborted, and its questions rejected. */
  left(session: GatewaySession): void {
    for (const id of session.running.keys()) this.#cancelled(session, id, undefined);
    for (const [id, entry] of this.#asked) {
      if (entry.session !== session) continue;
      this.#asked.delete(id);
      this.transport.onmessage?.({ jsonrpc: '2.0', id, error: CLOSED }, undefined);
    }
    this.runFor(session, () => this.server.onclose?.());
  }

  // ——— from the server ———

  async send(message: Message, related: RequestId | undefined): Promise<void> {
    const { id, method, params } = message;
    if (method === undefined) return this.#answer(message);
    const entry = related === undefined ? this.#present : this.#running.get(related);
    if (id !== undefined) return this.#question(id, message, entry, related);
    if (method === 'notifications/cancelled') {
      const asked = this.#asked.get(params?.['requestId'] as RequestId);
      if (asked !== undefined) this.#asked.delete(params?.['requestId'] as RequestId);
      return asked?.session?.send(message);
    }
    if (this.announcements.take(method, params)) return undefined;
    if (entry?.session === undefined || !entry.reachesClient) return this.announcements.drop(method);
    if (entry.session.ignores(message)) return undefined;
    return entry.session.send(message, related === undefined ? undefined : entry.clientId);
  }

  #answer(message: Message): Promise<void> | undefined {
    const { id } = message;
    const entry = id === undefined ? undefined : this.#running.get(id);
    if (id === undefined || entry === undefined) return undefined;
    const { answer, session, clientId } = entry;
    this.#forget(id, entry);
    if (answer !== undefined) answer(message);
    return clientId === undefined ? undefined : session?.send({ ...message, id: clientId });
  }

  async #question(
    id: RequestId,
    message: Message,
    entry: Entry | undefined,
    related: RequestId | undefined,
  ): Promise<void> {
    if (entry?.session === undefined || !entry.reachesClient) throw outsideHandler(`a ${message.method} request`);
    const lack = lackOf(entry.session.capabilities, message);
    if (lack !== undefined) throw new Error(`Client does not support ${lack} (required for ${message.method})`);
    this.#asked.set(id, entry);
    entry.questions += 1;
    try {
      await entry.session.send(message, related === undefined ? undefined : entry.clientId);
    } catch (cause) {
      this.#asked.delete(id);
      entry.questions -= 1;
      throw cause;
    }
  }
}

/** The transport of the one connection. */
class GatewayTransport {
  readonly #gateway: Gateway;
  onmessage: ((message: Message, extra: unknown) => void) | undefined = undefined;
  onclose: (() => void) | undefined = undefined;
  onerror: ((error: Error) => void) | undefined = undefined;
  scopeChallenge: unknown = undefined;

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  /** Read when a request begins, in its async context. */
  get sessionId(): string | undefined {
    return this.#gateway.presentSession?.sessionId;
  }

  setScopeChallengeResolver(resolver: unknown): void {
    this.scopeChallenge = resolver;
  }

  async start(): Promise<void> {}

  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (isObject(message)) await this.#gateway.send(message as Message, options?.relatedRequestId);
  }

  async close(): Promise<void> {
    this.onclose?.();
  }
}
