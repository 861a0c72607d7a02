/**
 * The official clients of both lines (`@modelcontextprotocol/sdk` 1, `@modelcontextprotocol/client` 2) behind one face,
 * as far as they differ: how handlers are set, how a tool is called. Every message that reaches a client is kept in
 * `messages`. In tests: `test/clients/official.ts`.
 */
import {
  Client as ClientV2,
  SSEClientTransport as SseV2,
  StreamableHTTPClientTransport as HttpV2,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import type { Message, Params } from './sse-parser.ts';

/** What the person and the model behind a client answer. */
interface Behind {
  sample?(params: Params): Reply;
  elicit?(params: Params): Reply;
  roots?(): Reply;
}

type Reply = object | Promise<object>;

interface CallOptions {
  onprogress?(progress: {
    progress: number;
    total?: number | undefined;
    message?: string | undefined;
  }): void;
  signal?: AbortSignal;
  timeout?: number;
  resumptionToken?: string;
  onresumptiontoken?(token: string): void;
}

interface ToolAnswer {
  readonly content?: ReadonlyArray<{ readonly type: string; readonly text?: string }>;
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
  readonly _meta?: Params;
}

export interface OfficialClient {
  /** A client of the first line has the same methods, except `callTool`. */
  readonly client: Omit<ClientV2, 'callTool'>;
  callTool(
    name: string,
    args?: Record<string, unknown>,
    options?: CallOptions,
  ): Promise<ToolAnswer>;
  /** The text of a tool's answer. */
  say(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>;
  /** Everything that came after `connect`, in order. */
  readonly messages: Message[];
  /** The notifications among them. */
  notifications(method: string): Message[];
  /** The HTTP requests it made: `POST`, `GET`, `GET <Last-Event-ID>`, `DELETE`. */
  readonly requests: string[];
  readonly errors: Error[];
  readonly sessionId: string | undefined;
  /** Resolves when its GET stream is open: what is sent before that reaches no client. */
  readonly listening: Promise<void>;
  terminate(): Promise<void>;
  /** `subscriptions/listen` (2026-07-28). */
  listen(filter: Params): Promise<void>;
  protocolVersion(): string | undefined;
  close(): Promise<void>;
}

/** How soon a client tries again before it has received a `retry`, and how often. */
interface Reconnection {
  initialReconnectionDelay: number;
  maxReconnectionDelay: number;
  reconnectionDelayGrowFactor: number;
  maxRetries: number;
}

export interface ConnectOptions extends Behind {
  /** Continue this session; nothing is negotiated. */
  sessionId?: string;
  /** Where the next request goes, as a load balancer decides it. */
  route?: () => string;
  /** What it asks with; default: the `fetch` of this process. */
  fetch?: typeof fetch;
  /** It opens no GET stream: what the server asks takes the stream of a call, or is not asked. */
  withoutGet?: boolean;
  /** Of every request. */
  headers?: Readonly<Record<string, string>>;
  reconnection?: Reconnection;
  /** Of `initialize`. */
  timeout?: number;
}

export type Connect = (url: string, options?: ConnectOptions) => Promise<OfficialClient>;

const RECONNECT: Reconnection = {
  initialReconnectionDelay: 5,
  maxReconnectionDelay: 5,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 20,
};

/** What the SDKs wait for an answer. */
const TIMEOUT_MS = 60_000;

const identity = { name: 'official-client', version: '1.2.3' };

const capabilitiesOf = ({ sample, elicit, roots }: Behind) => ({
  ...(sample && { sampling: {} }),
  ...(elicit && { elicitation: { form: {}, url: {} } }),
  ...(roots && { roots: { listChanged: true } }),
});

/** Both lines ask with `fetch`; this one tells what they asked. */
function createWire({
  route,
  withoutGet,
  fetch: ask = fetch,
  reconnection: own = RECONNECT,
}: ConnectOptions) {
  const requests: string[] = [];
  const reconnection = { ...own };
  let opened: () => void;
  const listening = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const tellingFetch = async (url: string | URL, init?: RequestInit): Promise<Response> => {
    const method = init?.method ?? 'GET';
    const lastEventId = new Headers(init?.headers).get('last-event-id');
    requests.push(lastEventId === null ? method : `${method} ${lastEventId}`);
    if (method === 'GET' && withoutGet) return new Response(null, { status: 405 });
    const response = await ask(route?.() ?? url, init);
    if (method === 'GET' && response.ok) opened();
    return response;
  };
  return { requests, listening, reconnection, fetch: tellingFetch };
}

type AnyTransport = HttpV1 | HttpV2 | SseV1 | SseV2;
type Over = 'http' | 'sse';
type Wire = ReturnType<typeof createWire>;
type Made<T> = new (url: URL, options: object) => T;

function transportOf<Http, Sse>(
  { Http, Sse }: { Http: Made<Http>; Sse: Made<Sse> },
  url: string,
  over: Over,
  wire: Wire,
  { sessionId, headers }: ConnectOptions,
): Http | Sse {
  if (over === 'sse')
    return new Sse(new URL(url), { fetch: wire.fetch, eventSourceInit: { fetch: wire.fetch } });
  return new Http(new URL(url), {
    fetch: wire.fetch,
    reconnectionOptions: wire.reconnection,
    ...(sessionId !== undefined && { sessionId }),
    ...(headers !== undefined && { requestInit: { headers } }),
  });
}

/** A build of the first line. */
export interface FirstLine {
  readonly Client: typeof ClientV1;
  readonly Http: typeof HttpV1;
  /** The oldest builds cannot be asked for input. */
  readonly types: Omit<typeof types, 'ElicitRequestSchema'> &
    Partial<Pick<typeof types, 'ElicitRequestSchema'>>;
}

export interface SecondLine {
  readonly Client: typeof ClientV2;
  readonly Http: typeof HttpV2;
}

export async function openV1(
  url: string,
  options: ConnectOptions = {},
  over: Over = 'http',
  { Client, Http, types: own }: FirstLine = { Client: ClientV1, Http: HttpV1, types },
): Promise<OfficialClient> {
  const { sample, elicit, roots, timeout = TIMEOUT_MS } = options;
  const wire = createWire(options);
  const client = new Client(identity, { capabilities: capabilitiesOf(options) });
  if (sample)
    client.setRequestHandler(
      own.CreateMessageRequestSchema,
      ({ params }) => sample(params) as never,
    );
  if (elicit && own.ElicitRequestSchema)
    client.setRequestHandler(own.ElicitRequestSchema, ({ params }) => elicit(params) as never);
  if (roots) client.setRequestHandler(own.ListRootsRequestSchema, () => roots() as never);
  const transport = transportOf({ Http, Sse: SseV1 }, url, over, wire, options);
  return finish(client as never, transport, wire, {
    connect: () => client.connect(transport, { timeout }),
    call: (params, call) => client.callTool(params, undefined, call),
    listen: () => Promise.reject(new Error('subscriptions/listen came with the second line')),
    protocolVersion: () => ('protocolVersion' in transport ? transport.protocolVersion : undefined),
  });
}

export async function openV2(
  url: string,
  options: ConnectOptions = {},
  over: Over = 'http',
  mode: VersionNegotiationMode = 'legacy',
  { Client, Http }: SecondLine = { Client: ClientV2, Http: HttpV2 },
): Promise<OfficialClient> {
  const { sample, elicit, roots, timeout = TIMEOUT_MS } = options;
  const wire = createWire(options);
  const client = new Client(identity, {
    capabilities: capabilitiesOf(options),
    versionNegotiation: { mode },
  });
  if (sample)
    client.setRequestHandler('sampling/createMessage', ({ params }) => sample(params) as never);
  if (elicit)
    client.setRequestHandler('elicitation/create', ({ params }) => elicit(params) as never);
  if (roots) client.setRequestHandler('roots/list', () => roots() as never);
  const transport = transportOf({ Http, Sse: SseV2 }, url, over, wire, options);
  return finish(client, transport, wire, {
    connect: () => client.connect(transport, { timeout }),
    call: (params, call) => client.callTool(params, call),
    listen: async (filter) => void (await client.listen(filter)),
    protocolVersion: () => client.getNegotiatedProtocolVersion(),
  });
}

/** Each stream that has ended comes back by a timer, and a transport of SDK 1 keeps the last. Returns what clears all. */
function reconnectionTimers(transport: AnyTransport): () => void {
  const timers: NodeJS.Timeout[] = [];
  Object.defineProperty(transport, '_reconnectionTimeout', {
    set(timer) {
      timers.push(timer);
    },
  });
  return () => {
    for (const timer of timers) clearTimeout(timer);
  };
}

interface Differences {
  connect(): Promise<void>;
  call(
    params: { name: string; arguments: Record<string, unknown> },
    options: CallOptions,
  ): Promise<unknown>;
  listen(filter: Params): Promise<void>;
  protocolVersion(): string | undefined;
}

async function finish(
  client: ClientV2,
  transport: AnyTransport,
  wire: Wire,
  differences: Differences,
): Promise<OfficialClient> {
  const messages: Message[] = [];
  const errors: Error[] = [];
  const clearTimers = reconnectionTimers(transport);
  const close = (): Promise<void> => {
    // A stream that is coming back as its client closes would try again.
    wire.reconnection.maxRetries = 0;
    clearTimers();
    return client.close();
  };
  try {
    await differences.connect();
  } catch (error) {
    await close();
    throw error;
  }
  const { onmessage, onerror } = transport;
  transport.onmessage = (message: unknown) => {
    messages.push(structuredClone(message) as Message);
    onmessage?.(message as never);
  };
  transport.onerror = (error: Error) => {
    errors.push(error);
    onerror?.(error);
  };
  const callTool = async (
    name: string,
    args: Record<string, unknown> = {},
    options: CallOptions = {},
  ) => (await differences.call({ name, arguments: args }, options)) as ToolAnswer;
  return {
    client,
    callTool,
    say: async (name, args, options) => {
      const { content } = await callTool(name, args, options);
      return (content ?? []).map(({ type, text }) => text ?? type).join(' ');
    },
    messages,
    notifications: (method) => messages.filter((message) => message.method === method),
    requests: wire.requests,
    errors,
    get sessionId() {
      return 'sessionId' in transport ? transport.sessionId : undefined;
    },
    listening: wire.listening,
    terminate: async () => {
      if (!('terminateSession' in transport)) throw new Error('only streamable HTTP has DELETE');
      await transport.terminateSession();
    },
    listen: (filter) => differences.listen(filter),
    protocolVersion: () => differences.protocolVersion(),
    close,
  };
}
