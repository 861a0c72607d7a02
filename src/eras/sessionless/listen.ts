/**
 * `subscriptions/listen`, which the SDK's `createMcpHandler` serves: it owns the streams, their filters and their
 * limit. It reads from the server of the application what that one announces, and gives it no message. Its answer is a
 * web `Response`: JSON is sent as it is, or as one event once a stream has begun, and the messages of an event stream
 * are passed on one by one.
 */
import {
  createMcpHandler,
  type McpHttpHandler,
  type Server,
  type ServerEvent,
  type ServerEventBus,
  SUBSCRIPTION_ID_META_KEY,
  type SubscriptionFilter,
} from '@modelcontextprotocol/server';
import { orUndefined } from '../../base/or-undefined.ts';
import { tellRefused } from '../../base/observe/observer.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { modernServerOf } from '../../sdk/server-shape.ts';
import { notificationOf } from '../../session/broadcast.ts';
import type { McpHttpRequest, McpListen } from '../../base/types.ts';
import type { Stop } from '../ladder.ts';
import type { SessionlessCall } from './sessionless-call.ts';
import type { SessionlessRequests } from './sessionless-requests.ts';

export class ListenStreams {
  readonly #requests: SessionlessRequests;
  readonly #handler: McpHttpHandler;
  /** The servers of streams that begin. */
  readonly #servers = new WeakMap<McpHttpRequest, Server>();

  constructor(options: ResolvedOptions, bus: ServerEventBus, requests: SessionlessRequests) {
    this.#requests = requests;
    this.#handler = createMcpHandler(({ requestInfo }) => this.#read(requestInfo), {
      legacy: 'reject',
      bus,
      // None: the response keeps itself alive.
      keepAliveMs: 0,
      maxSubscriptions: options.limits.subscriptions,
      onerror: (error) => tellRefused(options, error, 'A subscription was refused or failed'),
    });
  }

  async serve(call: SessionlessCall): Promise<Stop> {
    const { request, authInfo } = call.caller;
    const { sent, authorizer } = call;
    const unheard = sent && (await authorizer?.unheard(sent, authInfo));
    const stream = new ListenStream(call, unheard ?? new Set());
    try {
      const server = modernServerOf(await this.#requests.make(call, stream));
      const stop = call.stopIfLeft();
      if (stop !== undefined || server === undefined) return stop;
      this.#servers.set(request, server);
      return await this.#open(call, stream);
    } finally {
      stream.end();
    }
  }

  async #open(call: SessionlessCall, stream: ListenStream): Promise<Stop> {
    const { caller, sent, response: to } = call;
    const { request, authInfo } = caller;
    const parsed = { parsedBody: sent, ...(authInfo !== undefined && { authInfo }) };
    const response = await this.#handler.fetch(request, parsed);
    this.#requests.closeServer(call);
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (isStream && response.body !== null) await passOn(response.body, call, stream);
    else to.answer(await response.text(), response.status);
    return 'done';
  }

  /** The SDK closes what it gets here. The server itself is closed in the way of its class. */
  #read(request: McpHttpRequest | undefined): Server {
    const server = request && this.#servers.get(request);
    if (server === undefined) throw new Error('A server was asked for outside of a request');
    return Object.create(server, { close: { value: async () => {} } }) as Server;
  }

  /** Ends the streams, each with its result. */
  close(): Promise<void> {
    return this.#handler.close();
  }
}

async function passOn(
  body: ReadableStream<Uint8Array>,
  call: SessionlessCall,
  stream: ListenStream,
): Promise<void> {
  const { response: to } = call;
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  const sinkClosed = (): void => {
    call.sinkClosed();
    cancel();
  };
  // The server of its connection stops listening: the stream ends with its result, as when the endpoint closes.
  const hostStopped = (): void => to.answer(completed(call));
  to.listener = { sinkClosed, hostStopped };
  if (!to.isOpen) return cancel();
  const decoder = new TextDecoder();
  let answer: string | undefined;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !to.isOpen) break;
    // The SDK writes one event per chunk.
    const json = DATA.exec(decoder.decode(value, { stream: true }))?.[1];
    const message: unknown =
      json === undefined ? undefined : orUndefined(() => JSON.parse(json) as unknown);
    if (json === undefined || !isObject(message)) continue;
    if ('id' in message && !('method' in message)) answer = json;
    else stream.pass(message, json);
  }
  answer ??= call.unanswered();
  if (answer === undefined) to.done(200);
  else to.answer(answer);
}

const completed = ({ id }: SessionlessCall): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id,
    result: { resultType: 'complete', _meta: { [SUBSCRIPTION_ID_META_KEY]: id } },
  });

/** JSON may hold U+2028, which `.` and `$` take for the end of a line. */
const DATA = /(?:^|\n)data: ([^\n]*)\n/;

class ListenStream implements McpListen {
  readonly #call: SessionlessCall;
  readonly #unheard: ReadonlySet<unknown>;
  readonly #ended = new AbortController();
  /** What its client gets. `undefined`: its head has not left. */
  #filter: SubscriptionFilter | undefined = undefined;
  readonly resources: readonly string[];

  constructor(call: SessionlessCall, unheard: ReadonlySet<unknown>) {
    this.#call = call;
    this.#unheard = unheard;
    const named = filterIn(call.sent?.params).resourceSubscriptions;
    const uris = Array.isArray(named) ? named : [];
    this.resources = uris.filter((uri) => typeof uri === 'string' && !unheard.has(uri));
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** A notification of the SDK. The first one says what the stream carries. */
  pass({ method, params }: Readonly<Record<string, unknown>>, json: string): void {
    const given = isObject(params) ? params : {};
    this.#filter ??= filterIn(given);
    const isUpdate = typeof method === 'string' && roleOf(method) === 'updated';
    if (!isUpdate || !this.#unheard.has(given['uri'])) this.#call.response.message(json);
  }

  publish(event: ServerEvent): void {
    const { id, response } = this.#call;
    if (this.#filter === undefined || !response.isOpen || !wants(this.#filter, event)) return;
    const { params, ...message } = notificationOf(event);
    const _meta = { ...(params?.['_meta'] as object | undefined), [SUBSCRIPTION_ID_META_KEY]: id };
    this.pass(
      { method: message.method, params: { ...params } },
      JSON.stringify({ ...message, params: { ...params, _meta } }),
    );
  }

  end(): void {
    this.#ended.abort();
  }
}

function filterIn(params: Readonly<Record<string, unknown>> | undefined): SubscriptionFilter {
  const filter = params?.['notifications'];
  return isObject(filter) ? filter : {};
}

function wants(filter: SubscriptionFilter, event: ServerEvent): boolean {
  switch (event.kind) {
    case 'tools_list_changed':
      return filter.toolsListChanged === true;
    case 'prompts_list_changed':
      return filter.promptsListChanged === true;
    case 'resources_list_changed':
      return filter.resourcesListChanged === true;
    case 'resource_updated':
      return filter.resourceSubscriptions?.includes(event.uri) === true;
  }
}
