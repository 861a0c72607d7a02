/**
 * A client that sends exactly what the test says, over `node:http` with its own keep-alive pool: any headers, any
 * bytes, connections cut at will. It sends nothing automatically. For tests of a server, hostile ones included.
 */
import {
  Agent,
  request as httpRequest,
  type ClientRequest,
  type OutgoingHttpHeaders,
} from 'node:http';
import { connect } from 'node:net';
import { systemTime, within } from '../../src/base/system.ts';
import { endpointsNow, longestWaitMs, waitsFor } from './endpoints-now.ts';
import { RawResponse } from './raw-response.ts';
import type { Message } from './sse-parser.ts';

/** `null` omits a default header; a list sends the header several times. */
export type RawHeaders = Readonly<Record<string, string | readonly string[] | null | undefined>>;

export interface RawRequestOptions {
  /** Overrides the defaults: content-type, accept, mcp-session-id, mcp-protocol-version. */
  headers?: RawHeaders | undefined;
  /** Overrides the client's session id; `null`: none. */
  sessionId?: string | null | undefined;
  /** `mcp-protocol-version`: overrides the client's version; `null`: none. */
  version?: string | null | undefined;
  /** `last-event-id`. */
  lastEventId?: string | undefined;
  /** Overrides the path of the client's URL. */
  path?: string | undefined;
  /** Aborting it closes the connection. */
  signal?: AbortSignal | undefined;
}

export interface RawClientOptions {
  /** Sent with every request. */
  headers?: RawHeaders | undefined;
  /** Connections at once; default: unlimited. */
  sockets?: number | undefined;
  /** The address that its connections come from. */
  from?: string | undefined;
  /** How long the client waits for a response, an event or an end; default: half of the limit of the test. */
  timeoutMs?: number | undefined;
  /** It continues the session of this client, and its requests have other ids. */
  of?: RawClient | undefined;
}

/** How many clients continue the session of another one. */
let continuing = 0;
const IDS_PER_CLIENT = 1_000;

export interface InitializeOptions extends RawRequestOptions {
  /** Default 2025-11-25. */
  protocolVersion?: string | undefined;
  capabilities?: object | undefined;
  clientInfo?: { name: string; version: string } | undefined;
  /** `false`: the client does not send `notifications/initialized`. */
  initialized?: boolean | undefined;
}

/** A request whose body is still being written. */
export interface RawRequest {
  readonly request: ClientRequest;
  /** Resolves with the head of the response; for a response that is not an event stream, with all of it. */
  readonly response: Promise<RawResponse>;
}

const DEFAULT_VERSION = '2025-11-25';

export class RawClient {
  readonly url: URL;
  /** Sent with every request once `initialize` has set it; writable. */
  sessionId: string | undefined = undefined;
  /** Sent with every request once `initialize` has set it; writable. */
  protocolVersion: string | undefined = undefined;
  readonly #agent: Agent;
  readonly #headers: RawHeaders;
  readonly #timeoutMs: number | undefined;
  #lastId = 0;

  constructor(
    url: string | URL,
    { headers = {}, sockets, from, timeoutMs, of }: RawClientOptions = {},
  ) {
    this.url = new URL(url);
    this.#headers = headers;
    this.#timeoutMs = timeoutMs;
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: sockets ?? Infinity,
      localAddress: from,
    });
    if (of === undefined) return;
    this.sessionId = of.sessionId;
    this.protocolVersion = of.protocolVersion;
    this.#lastId = (continuing += 1) * IDS_PER_CLIENT;
  }

  /** Numbers requests: 1, 2, 3 … */
  nextId(): number {
    return ++this.#lastId;
  }

  /** A message (or a batch) as JSON; a string or bytes go out unchanged. */
  async post(message: unknown, options?: RawRequestOptions): Promise<RawResponse> {
    // Bytes, because Node joins a string body with the headers, and then sends the headers in UTF-8.
    const body =
      message instanceof Uint8Array
        ? message
        : Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
    return this.#send(body, 'POST', options, {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'content-length': `${body.byteLength}`,
    });
  }

  get(options?: RawRequestOptions): Promise<RawResponse> {
    return this.#send(undefined, 'GET', options, { accept: 'text/event-stream' });
  }

  delete(options?: RawRequestOptions): Promise<RawResponse> {
    return this.#send(undefined, 'DELETE', options);
  }

  /** Posts a request with a new id and waits for its answer, in JSON or as an event. */
  async call(
    method: string,
    params?: object,
    options?: RawRequestOptions,
  ): Promise<{
    readonly id: number;
    readonly response: RawResponse;
    readonly message: JsonRpcAnswer;
  }> {
    const id = this.nextId();
    const response = await this.post(
      { jsonrpc: '2.0', id, method, ...(params && { params }) },
      options,
    );
    return { id, response, message: await answerTo(id, response) };
  }

  /** Posts a notification; the answer is 202 without a body. */
  async notify(method: string, params?: object, options?: RawRequestOptions): Promise<RawResponse> {
    return this.post({ jsonrpc: '2.0', method, ...(params && { params }) }, options);
  }

  /**
   * `initialize`, then `notifications/initialized`. Later requests use that session and the negotiated version. If the
   * answer is an error, the client stays unchanged.
   */
  async initialize({
    protocolVersion = DEFAULT_VERSION,
    capabilities = {},
    clientInfo = { name: 'raw-client', version: '0.0.0' },
    initialized = true,
    ...options
  }: InitializeOptions = {}): Promise<{
    readonly response: RawResponse;
    readonly message: JsonRpcAnswer;
  }> {
    const params = { protocolVersion, capabilities, clientInfo };
    const none = { sessionId: null, version: null };
    const { response, message } = await this.call('initialize', params, { ...none, ...options });
    const result = message.result as { protocolVersion?: string } | undefined;
    if (response.status !== 200 || result === undefined) return { response, message };
    this.sessionId = response.header('mcp-session-id');
    this.protocolVersion = result.protocolVersion;
    if (initialized) {
      const { status, body } = await this.notify('notifications/initialized', undefined, options);
      if (status !== 202)
        throw new Error(`notifications/initialized was answered with ${status}: ${body}`);
    }
    return { response, message };
  }

  /** A request whose body the caller writes: all of it, half of it, or more than announced. */
  start(
    method: string,
    {
      headers = {},
      sessionId = this.sessionId,
      version = this.protocolVersion,
      lastEventId,
      path,
      signal,
    }: RawRequestOptions = {},
    defaults: RawHeaders = {},
  ): RawRequest {
    const { port, pathname, search } = this.url;
    const session = {
      'mcp-session-id': sessionId,
      'mcp-protocol-version': version,
      'last-event-id': lastEventId,
    };
    const allHeaders = merged(defaults, session, this.#headers, headers);
    const request = httpRequest({
      host: hostOf(this.url),
      port,
      method,
      path: path ?? `${pathname}${search}`,
      agent: this.#agent,
      headers: allHeaders,
      setHost: headers['host'] !== null,
      ...(signal && { signal }),
    });
    return { request, response: this.#response(request) };
  }

  /**
   * Sends bytes on a new connection and resolves with everything that comes back, until the server closes it or `done`
   * returns true.
   */
  async bytes(
    payload: string | Uint8Array,
    done: (received: string) => boolean = () => false,
  ): Promise<string> {
    const socket = connect(Number(this.url.port || 80), hostOf(this.url));
    let received = '';
    const closed = new Promise<string>((resolve, reject) => {
      // A refusing server may reset the connection after its answer: the answer counts.
      socket.on('error', (error) => {
        if (received === '') reject(error);
      });
      socket.on('close', () => resolve(received));
    });
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      received += text;
      if (done(received)) socket.destroy();
    });
    socket.write(payload);
    const timeoutMs = this.#timeoutMs ?? longestWaitMs();
    return within(systemTime, timeoutMs, closed, () => {
      socket.destroy();
      throw new Error(`no end within ${timeoutMs} ms; received: ${JSON.stringify(received)}`);
    });
  }

  /**
   * The status that answers these bytes, which ask for the end of the connection; NaN without one. A stream is left
   * after its head, and `100 Continue` comes before an answer.
   */
  async statusOf(request: string | Uint8Array): Promise<number> {
    const received = await this.bytes(request, (text) =>
      /^content-type: text\/event-stream/im.test(text),
    );
    return Number([...received.matchAll(/^HTTP\/1\.1 (\d+)/gm)].at(-1)?.[1]);
  }

  /** Cuts every connection. The client can be used again with new ones. */
  close(): void {
    this.#agent.destroy();
    for (const sockets of Object.values(this.#agent.sockets))
      for (const socket of sockets ?? []) socket.destroy();
  }

  #send(
    body: Uint8Array | undefined,
    ...how: Parameters<RawClient['start']>
  ): Promise<RawResponse> {
    const { request, response } = this.start(...how);
    request.end(body);
    return response;
  }

  #response(request: ClientRequest): Promise<RawResponse> {
    const timeoutMs = this.#timeoutMs ?? longestWaitMs();
    const what = `the response to ${request.method} ${request.path}`;
    const got = new Promise<RawResponse>((resolve, reject) => {
      request.on('error', reject);
      request.on('response', (incoming) => {
        const came = new RawResponse(incoming, this.#timeoutMs);
        if (came.sse) resolve(came);
        else void came.ended.then(() => resolve(came));
      });
    });
    const response = within(systemTime, timeoutMs, got, () => {
      const now = endpointsNow();
      request.destroy();
      throw new Error(`${what} did not come within ${timeoutMs} ms\n${now}`);
    });
    // A caller that cuts its connection does not wait for the response.
    response.catch(() => undefined);
    return waitsFor(what, response);
  }
}

/** The answer to one request, parsed. */
export type JsonRpcAnswer = Message;

async function answerTo(id: number, response: RawResponse): Promise<JsonRpcAnswer> {
  if (!response.sse) {
    if (response.body === '') return {};
    return response.json() as JsonRpcAnswer;
  }
  return response.nextMessage((message) => message.id === id && message.method === undefined);
}

/** An IPv6 address without its brackets. */
const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '');

/** Later headers win, by name without case. */
function merged(...all: readonly RawHeaders[]): OutgoingHttpHeaders {
  const byName = new Map<string, [name: string, value: string | readonly string[] | null]>();
  for (const headers of all) {
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) byName.set(name.toLowerCase(), [name, value]);
    }
  }
  const result: OutgoingHttpHeaders = {};
  for (const [name, value] of byName.values()) {
    if (value !== null) result[name] = typeof value === 'string' ? value : [...value];
  }
  return result;
}
