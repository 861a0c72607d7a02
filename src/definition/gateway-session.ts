/**
 * One session of a gateway: what the server itself would keep of its client, and the object that `currentSession()`
 * has as its server. Methods of the application's server that are called on this object send to this session.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { isObject, LOG_LEVELS } from '../protocol/jsonrpc.ts';
import type { ConnectableServer, McpServerOptions } from '../types.ts';
import type { Message } from './gateway-entry.ts';
import { refuseRegistration } from './hosted.ts';
import { merged } from './light-server.ts';
import type { SdkServer } from '../sdk/sdk-server.ts';
import { overrides } from '../sdk/server-shape.ts';

type Fields = Readonly<Record<string, unknown>>;

const INVALID_PARAMS = -32_602;

/** They would register for every session. */
const REGISTRATIONS: ReadonlySet<PropertyKey> = new Set([
  'setRequestHandler',
  'removeRequestHandler',
  'setNotificationHandler',
  'removeNotificationHandler',
  'registerCapabilities',
  'registerTool',
  'registerResource',
  'registerPrompt',
  'tool',
  'resource',
  'prompt',
  'experimental',
]);

/** With these the object would be taken for a server of 2026-07-28. */
const MODERN: ReadonlySet<PropertyKey> = new Set(['getNegotiatedProtocolVersion', 'getCapabilities']);

export interface Transport {
  readonly sessionId?: string | undefined;
  onmessage?: ((message: Message, extra: unknown) => void) | undefined;
  onclose?: (() => void) | undefined;
  setScopeChallengeResolver?(resolver: unknown): void;
  start(): Promise<void>;
  send(message: Message, options?: { readonly relatedRequestId: RequestId }): Promise<void>;
  close(): Promise<void>;
}

interface SessionGateway {
  readonly server: SdkServer;
  readonly highLevel: object | undefined;
  open(session: GatewaySession): Promise<void>;
  receive(session: GatewaySession, message: Message, extra: unknown): void;
  left(session: GatewaySession): void;
  runFor<T>(session: GatewaySession, run: () => T): T;
}

export class GatewaySession {
  readonly #gateway: SessionGateway;
  /** Those of the endpoint. */
  readonly #options: McpServerOptions;
  /** What its handlers set as `onclose` or `onerror`. */
  readonly callbacks = new Map<string, unknown>();
  /** The numbers of the running requests of the client, by its own ids. */
  readonly running = new Map<RequestId, RequestId>();
  readonly face: ConnectableServer;
  transport: Transport | undefined = undefined;
  capabilities: Fields | undefined = undefined;
  clientInfo: unknown = undefined;
  version: unknown = undefined;
  hasLevels = false;
  #level = 0;

  constructor(gateway: SessionGateway, options: McpServerOptions) {
    this.#gateway = gateway;
    this.#options = options;
    const { server, highLevel } = gateway;
    const inner = new Proxy({}, new Face(server, this, {}));
    this.face = (
      highLevel === undefined ? inner : new Proxy({}, new Face(highLevel, this, { server: inner }))
    ) as ConnectableServer;
  }

  get sessionId(): string | undefined {
    return this.transport?.sessionId;
  }

  /** Its `initialize` is answered. Returns the result for its client. */
  opened(capabilities: unknown, clientInfo: unknown, result: Fields): Fields {
    const { instructions = result['instructions'], capabilities: more = {} } = this.#options;
    const own = merged(isObject(result['capabilities']) ? result['capabilities'] : {}, more);
    this.capabilities = isObject(capabilities) ? capabilities : {};
    this.clientInfo = clientInfo;
    this.version = result['protocolVersion'];
    this.hasLevels = own['logging'] !== undefined;
    return { ...result, capabilities: own, ...(instructions !== undefined && { instructions }) };
  }

  setLevel(id: RequestId, level: unknown): void {
    const found = LOG_LEVELS.indexOf(String(level));
    if (found >= 0) this.#level = found;
    const error = { code: INVALID_PARAMS, message: `'${String(level).slice(0, 64)}' is no level of log messages` };
    const answer = found >= 0 ? { result: {} } : { error };
    void this.send({ jsonrpc: '2.0', id, ...answer })?.catch(() => {});
  }

  /** Whether its client does not want a log message. */
  ignores({ method, params }: Message): boolean {
    if (method !== 'notifications/message') return false;
    const level = LOG_LEVELS.indexOf(String(params?.['level']));
    return level >= 0 && level < this.#level;
  }

  send(message: Message, related?: RequestId): Promise<void> | undefined {
    return this.transport?.send(message, related === undefined ? undefined : { relatedRequestId: related });
  }

  async connect(transport: Transport): Promise<void> {
    this.transport = transport;
    await this.#gateway.open(this);
    transport.onclose = () => this.#left();
    transport.onmessage = (message, extra) => this.#gateway.receive(this, message, extra);
    await transport.start();
  }

  async close(): Promise<void> {
    await this.transport?.close();
  }

  #left(): void {
    if (this.transport === undefined) return;
    this.#gateway.left(this);
    this.transport = undefined;
  }

  /** Runs code of the application for this session. */
  run<T>(code: () => T): T {
    return this.#gateway.runFor(this, code);
  }
}

type AnyMethod = (...args: unknown[]) => unknown;

/** The application's object, as one session has it: its methods run for this session, and what is set stays here. */
class Face implements ProxyHandler<object> {
  readonly #of: object;
  readonly #session: GatewaySession;
  readonly #own: Map<PropertyKey, unknown>;

  constructor(of: object, session: GatewaySession, members: Fields) {
    this.#of = of;
    this.#session = session;
    this.#own = new Map(Object.entries(members));
  }

  get(_target: object, name: PropertyKey): unknown {
    const session = this.#session;
    if (this.#own.has(name)) return this.#own.get(name);
    if (name === 'transport') return session.transport;
    // Set on the object, as tracing tools do, or of a subclass, they run for each session.
    if (name === 'connect' && !overrides(this.#of, name)) return (transport: Transport) => session.connect(transport);
    if (name === 'close' && (session.transport === undefined || !overrides(this.#of, name)))
      return () => session.close();
    if (typeof name !== 'string' || name.startsWith('_') || MODERN.has(name)) return undefined;
    if (REGISTRATIONS.has(name)) return name in this.#of ? () => refuseRegistration(name) : undefined;
    const value: unknown = Reflect.get(this.#of, name);
    if (typeof value !== 'function') return value;
    return (...args: unknown[]): unknown => session.run(() => (value as AnyMethod).apply(this.#of, args));
  }

  set(_target: object, name: PropertyKey, value: unknown): boolean {
    if (name === 'onclose' || name === 'onerror') this.#session.callbacks.set(name, value);
    this.#own.set(name, value);
    return true;
  }

  has(_target: object, name: PropertyKey): boolean {
    return this.#own.has(name);
  }
}

/** What a client lacks for a question, in the words of the SDK. */
export function lackOf(capabilities: Fields | undefined, { method, params }: Message): string | undefined {
  const has = (of: unknown, name: string): boolean => isObject(of) && of[name] !== undefined;
  const { sampling, elicitation } = capabilities ?? {};
  switch (method) {
    case 'sampling/createMessage': {
      if (sampling === undefined) return 'sampling';
      const usesTools = params?.['tools'] !== undefined || params?.['toolChoice'] !== undefined;
      return usesTools && !has(sampling, 'tools') ? 'sampling with tools' : undefined;
    }
    case 'elicitation/create': {
      if (elicitation === undefined) return 'elicitation';
      if (params?.['mode'] === 'url') return has(elicitation, 'url') ? undefined : 'elicitation by URL';
      return has(elicitation, 'form') || !has(elicitation, 'url') ? undefined : 'elicitation by a form';
    }
    case 'roots/list':
      return has(capabilities, 'roots') ? undefined : 'roots';
    default:
      return undefined;
  }
}
