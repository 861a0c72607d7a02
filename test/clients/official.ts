/**
 * The official clients of both lines (`@modelcontextprotocol/sdk` 1, `@modelcontextprotocol/client` 2) behind one face,
 * as far as they differ: how handlers are set, how a tool is called. Every message that reaches a client is kept in
 * `messages`.
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
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { onTestFinished } from 'vitest';

/** What the person and the model behind a client answer. */
interface Behind {
  sample?(params: Params): Reply;
  elicit?(params: Params): Reply;
  roots?(): Reply;
}

type Params = Readonly<Record<string, any>>;
type Reply = object | Promise<object>;

interface CallOptions {
  onprogress?(progress: { progress: number; total?: number | undefined; message?: string | undefined }): void;
  signal?: AbortSignal;
  timeout?: number;
  resumptionToken?: string;
  onresumptiontoken?(token: string): void;
}

/** A message as it came; which of its members there are depends on its kind. */
export interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Params;
  readonly result?: Params;
  readonly error?: { readonly code: number; readonly message: string };
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
  callTool(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<ToolAnswer>;
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
}

export type Connect = (url: string, options?: ConnectOptions) => Promise<OfficialClient>;

export const connectV1: Connect = (url, options) => openV1(url, options, 'http');
export const connectV2: Connect = (url, options) => openV2(url, options, 'http', 'legacy');
/** Asks with `server/discover` first: 2026-07-28 where it is served, else a session. */
export const connectNegotiating: Connect = (url, options) => openV2(url, options, 'http', 'auto');

/** For `describe.each`: sessions over streamable HTTP. */
export const sessionClients: Array<[name: string, connect: Connect]> = [
  ['v1', connectV1],
  ['v2', connectV2],
];

/** The 2024-11-05 transport. */
export const sseClients: Array<[name: string, connect: Connect]> = [
  ['v1 over SSE', (url, options) => openV1(`${url}/sse`, options, 'sse')],
  ['v2 over SSE', (url, options) => openV2(`${url}/sse`, options, 'sse', 'legacy')],
];

/** How soon a client tries again before it has received a `retry`. */
const RECONNECT = {
  initialReconnectionDelay: 5,
  maxReconnectionDelay: 5,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 20,
};

const identity = { name: 'official-client', version: '1.2.3' };

const capabilitiesOf = ({ sample, elicit, roots }: Behind) => ({
  ...(sample && { sampling: {} }),
  ...(elicit && { elicitation: { form: {}, url: {} } }),
  ...(roots && { roots: { listChanged: true } }),
});

/** Both lines ask with `fetch`; this one tells what they asked. */
function createWire({ route, withoutGet, fetch: ask = fetch }: ConnectOptions) {
  const requests: string[] = [];
  const reconnection = { ...RECONNECT };
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
  { sessionId }: ConnectOptions,
): Http | Sse {
  if (over === 'sse') return new Sse(new URL(url), { fetch: wire.fetch, eventSourceInit: { fetch: wire.fetch } });
  const session = sessionId === undefined ? {} : { sessionId };
  return new Http(new URL(url), { fetch: wire.fetch, reconnectionOptions: wire.reconnection, ...session });
}

async function openV1(url: string, options: ConnectOptions = {}, over: Over): Promise<OfficialClient> {
  const { sample, elicit, roots } = options;
  const wire = createWire(options);
  const client = new ClientV1(identity, { capabilities: capabilitiesOf(options) });
  if (sample) client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => sample(params) as never);
  if (elicit) client.setRequestHandler(ElicitRequestSchema, ({ params }) => elicit(params) as never);
  if (roots) client.setRequestHandler(ListRootsRequestSchema, () => roots() as never);
  const transport = transportOf({ Http: HttpV1, Sse: SseV1 }, url, over, wire, options);
  return finish(client as never, transport, wire, {
    connect: () => client.connect(transport),
    call: (params, call) => client.callTool(params, undefined, call),
    listen: () => Promise.reject(new Error('subscriptions/listen came with the second line')),
    protocolVersion: () => (transport instanceof HttpV1 ? transport.protocolVersion : undefined),
  });
}

async function openV2(
  url: string,
  options: ConnectOptions = {},
  over: Over,
  mode: VersionNegotiationMode,
): Promise<OfficialClient> {
  const { sample, elicit, roots } = options;
  const wire = createWire(options);
  const client = new ClientV2(identity, { capabilities: capabilitiesOf(options), versionNegotiation: { mode } });
  if (sample) client.setRequestHandler('sampling/createMessage', ({ params }) => sample(params) as never);
  if (elicit) client.setRequestHandler('elicitation/create', ({ params }) => elicit(params) as never);
  if (roots) client.setRequestHandler('roots/list', () => roots() as never);
  const transport = transportOf({ Http: HttpV2, Sse: SseV2 }, url, over, wire, options);
  return finish(client, transport, wire, {
    connect: () => client.connect(transport),
    call: (params, call) => client.callTool(params, call),
    listen: async (filter) => void (await client.listen(filter)),
    protocolVersion: () => client.getNegotiatedProtocolVersion(),
  });
}

interface Differences {
  connect(): Promise<void>;
  call(params: { name: string; arguments: Record<string, unknown> }, options: CallOptions): Promise<unknown>;
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
  onTestFinished(() => {
    // Closing takes the timer of one stream away; another that waited to come back would go on trying for a while.
    wire.reconnection.maxRetries = 0;
    return client.close();
  });
  await differences.connect();
  const { onmessage, onerror } = transport;
  transport.onmessage = (message: unknown) => {
    messages.push(structuredClone(message) as Message);
    onmessage?.(message as never);
  };
  transport.onerror = (error: Error) => {
    errors.push(error);
    onerror?.(error);
  };
  const callTool = async (name: string, args: Record<string, unknown> = {}, options: CallOptions = {}) =>
    (await differences.call({ name, arguments: args }, options)) as ToolAnswer;
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
  };
}
