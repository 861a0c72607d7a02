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
  type ServerEventBus,
  SUBSCRIPTION_ID_META_KEY,
} from '@modelcontextprotocol/server';
import { orUndefined } from '../../base/or-undefined.ts';
import { tellRefused } from '../../base/observe/observer.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { modernServerOf } from '../../sdk/server-shape.ts';
import type { McpHttpRequest } from '../../base/types.ts';
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
    const server = modernServerOf(await this.#requests.make(call));
    const { sent, authorizer, response: to } = call;
    const unheard = sent && (await authorizer?.unheard(sent, authInfo));
    const stop = call.stopIfLeft();
    if (stop !== undefined || server === undefined) return stop;
    this.#servers.set(request, server);
    const parsed = { parsedBody: sent, ...(authInfo !== undefined && { authInfo }) };
    const response = await this.#handler.fetch(request, parsed);
    this.#requests.closeServer(call);
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (isStream && response.body !== null) await passOn(response.body, call, unheard);
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
  unheard: ReadonlySet<unknown> | undefined,
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
    else if (!unheard?.has(updatedIn(message))) to.message(json);
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

/** The URI that a `notifications/resources/updated` is about. */
function updatedIn({ method, params }: Readonly<Record<string, unknown>>): unknown {
  return typeof method === 'string' && roleOf(method) === 'updated' && isObject(params)
    ? params['uri']
    : undefined;
}
