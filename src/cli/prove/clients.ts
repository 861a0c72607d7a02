/**
 * The clients of `sojourn prove`: the official ones where the project has them, else those below, which are as small as
 * the protocol allows. All of them answer questions from the schema of the question.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { callsTool, methodOf, methods, roleOf } from '../../base/protocol/methods.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import {
  legacyRequest,
  modernRequest,
  type Params,
  resultOf,
} from '../../testing/lab/lab-client.ts';
import { UsageError } from '../failure.ts';
import { exampleOf } from './example.ts';

export const KINDS = ['2025, resumes', '2025, does not resume', '2026-07-28'] as const;
export type ClientKind = (typeof KINDS)[number];

/** No answer after this long: the call hangs. */
export const HUNG_MS = 30_000;
const RESUME_MS = 1_000;
/** The official clients try twice, which is not enough while an instance starts again. */
const RECONNECTION = {
  initialReconnectionDelay: RESUME_MS,
  maxReconnectionDelay: 4_000,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 6,
};
const MOST_ROUNDS = 10;
const ASKS_FOR_TOKEN = "the server asks for a token (401): --header 'Authorization: Bearer …'";
const INFO = { name: 'sojourn-prove', version: '1.0.0' };
const CAPABILITIES = { elicitation: {}, sampling: {}, roots: {} };
/** Clients of this revision get no id of an event, so they have nothing to resume from. */
const WITHOUT_RESUMING = '2025-06-18';

export interface ProveClient {
  readonly sessionId: string | undefined;
  /** Rejects with what the client of an application gets. `headers`: of a sessionless call alone. */
  request(
    method: string,
    params: Params,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Params>;
  close(): Promise<void>;
}

type Headers = Readonly<Record<string, string>>;

/** What a person and a model say. */
function answerTo(method: string, { mode, requestedSchema }: Params): object {
  const { asks } = methodOf(method);
  if (asks === 'sampling')
    return { role: 'assistant', model: INFO.name, content: { type: 'text', text: 'text' } };
  if (asks === 'roots') return { roots: [] };
  const content = mode === 'url' ? undefined : orUndefined(() => exampleOf(requestedSchema));
  return { action: 'accept', ...(content !== undefined && { content }) };
}

// ——— the official ones ———

/** A client of either line of the official SDK, as far as it is used here. */
interface OfficialClient {
  readonly [method: string]: (...given: unknown[]) => Promise<Params>;
}
interface Line {
  readonly isFirst: boolean;
  readonly Client: new (info: object, options: object) => OfficialClient;
  readonly Transport: new (url: URL, options: object) => { readonly sessionId?: string };
  readonly types?: Readonly<Record<string, unknown>>;
}

/** Its function for a method: `callTool` for `tools/call`, `listTools` for `tools/list`. */
function functionFor(method: string): string {
  const [things = '', verb] = method.split('/');
  if (verb === undefined) return method;
  const noun = methodOf(method).lists === undefined ? things.slice(0, -1) : things;
  return `${verb}${noun.charAt(0).toUpperCase()}${noun.slice(1)}`;
}

/** What SDK 1 takes in place of a method that asks a client. */
const SCHEMAS = {
  sampling: 'CreateMessageRequestSchema',
  elicitation: 'ElicitRequestSchema',
  roots: 'ListRootsRequestSchema',
};

export interface Lines {
  readonly first: Line | undefined;
  readonly second: Line | undefined;
}

/** The official clients of the project in a folder. */
export async function officialLines(cwd: string): Promise<Lines> {
  const require = createRequire(join(cwd, 'package.json'));
  const load = async (name: string): Promise<Record<string, never> | undefined> => {
    const path = orUndefined(() => require.resolve(name));
    return path === undefined
      ? undefined
      : ((await import(pathToFileURL(path).href)) as Record<string, never>);
  };
  const sdk = '@modelcontextprotocol/sdk';
  const [second, client, transport, types] = await Promise.all(
    [
      '@modelcontextprotocol/client',
      `${sdk}/client/index.js`,
      `${sdk}/client/streamableHttp.js`,
      `${sdk}/types.js`,
    ].map(load),
  );
  const lineOf = (
    isFirst: boolean,
    clients: Record<string, never> | undefined,
    transports: Record<string, never> | undefined,
  ): Line | undefined => {
    const [Client, Transport] = [
      clients?.['Client'],
      transports?.['StreamableHTTPClientTransport'],
    ];
    if (Client === undefined || Transport === undefined) return undefined;
    return { isFirst, Client, Transport, ...(isFirst && types !== undefined && { types }) };
  };
  return { first: lineOf(true, client, transport), second: lineOf(false, second, second) };
}

/** Which line has a client of this kind. A stream that broke leaves an official client that does not resume hanging. */
export const lineFor = (kind: ClientKind, { first, second }: Lines): Line | undefined =>
  kind === '2025, does not resume' ? undefined : kind === '2026-07-28' ? second : (second ?? first);

async function openOfficial(
  line: Line,
  kind: ClientKind,
  url: URL,
  headers: Headers,
): Promise<ProveClient> {
  const { isFirst, Client, Transport, types } = line;
  const mode = kind === '2026-07-28' ? { pin: kind } : 'legacy';
  const options = { capabilities: CAPABILITIES, ...(!isFirst && { versionNegotiation: { mode } }) };
  const client = new Client(INFO, options);
  for (const [method, { asks }] of methods)
    if (asks !== undefined)
      void client['setRequestHandler']?.(
        isFirst ? types?.[SCHEMAS[asks]] : method,
        (request: { params?: Params }) => answerTo(method, request.params ?? {}),
      );
  const transport = new Transport(url, {
    requestInit: { headers },
    reconnectionOptions: RECONNECTION,
  });
  await client['connect']?.(transport, { timeout: HUNG_MS });
  return {
    get sessionId() {
      return transport.sessionId;
    },
    request: async (method, params) => {
      const timeout = { timeout: HUNG_MS };
      const called = isFirst && callsTool(method) ? [params, undefined] : [params];
      const given = roleOf(method) === 'ping' ? [] : called;
      return (await client[functionFor(method)]?.(...given, timeout)) ?? {};
    },
    close: async () => void (await client['close']?.()),
  };
}

// ——— those of this package ———

interface ClientMessage {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Params;
}

class OwnClient implements ProveClient {
  readonly #kind: ClientKind;
  readonly #url: URL;
  readonly #headers: Headers;
  /** The headers of its session. */
  readonly #session = new Map<string, string>();
  #lastId = 0;

  constructor(kind: ClientKind, url: URL, headers: Headers) {
    this.#kind = kind;
    this.#url = url;
    this.#headers = headers;
  }

  get sessionId(): string | undefined {
    return this.#session.get('mcp-session-id');
  }

  async connect(): Promise<Params> {
    if (this.#kind === '2026-07-28') return this.request('server/discover', {});
    const protocolVersion = this.#kind === '2025, resumes' ? '2025-11-25' : WITHOUT_RESUMING;
    const opened = await this.request('initialize', {
      protocolVersion,
      capabilities: CAPABILITIES,
      clientInfo: INFO,
    });
    this.#session.set('mcp-protocol-version', String(opened['protocolVersion'] ?? protocolVersion));
    await this.#send(legacyRequest(0, 'notifications/initialized', {}, this.#session), HUNG_MS);
    return opened;
  }

  async request(method: string, params: Params, headers: Headers = {}): Promise<Params> {
    if (this.#kind !== '2026-07-28') return this.#call(method, params);
    let asked: Params = params;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const id = (this.#lastId += 1);
      const sent = modernRequest(id, method, asked, 'questions', headers);
      const result = await resultOf(id, await this.#send(sent, HUNG_MS));
      const { inputRequests, requestState } = result;
      if (!isObject(inputRequests)) return result;
      const inputResponses = Object.fromEntries(
        Object.entries(inputRequests).map(([name, one]) => {
          const { method: about = '', params: what = {} } = one as ClientMessage;
          return [name, answerTo(about, what)];
        }),
      );
      asked = { ...params, inputResponses, ...(requestState !== undefined && { requestState }) };
    }
    throw new Error('it asks without an end');
  }

  /** With a session. */
  async #call(method: string, params: Params): Promise<Params> {
    const id = (this.#lastId += 1);
    const end = performance.now() + HUNG_MS;
    const left = (): number => Math.max(1, Math.round(end - performance.now()));
    let response = await this.#send(legacyRequest(id, method, params, this.#session), left());
    const opened = response.headers.get('mcp-session-id');
    if (opened !== null) this.#session.set('mcp-session-id', opened);
    const at = { last: '' };
    for (;;) {
      const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
      if (!response.ok || isStream !== true) return resultOf(id, response);
      const answer = await this.#read(id, response, at).catch((error: unknown) => {
        if (performance.now() >= end) throw error;
      });
      if (answer !== undefined) return resultOf(id, new Response(answer));
      if (this.#kind !== '2025, resumes' || at.last === '') throw new Error('terminated');
      response = await this.#resume(at.last, left);
    }
  }

  /** The text of the answer; `undefined`: the stream ended before. */
  async #read(id: number, { body }: Response, at: { last: string }): Promise<string | undefined> {
    let text = '';
    for await (const chunk of (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      const frames = (text + chunk).split('\n\n');
      text = frames.pop() ?? '';
      for (const frame of frames) {
        const of = (field: string): string =>
          frame
            .split('\n')
            .find((line) => line.startsWith(`${field}: `))
            ?.slice(field.length + 2) ?? '';
        at.last = of('id') || at.last;
        const message = orUndefined(() => JSON.parse(of('data')) as ClientMessage);
        if (message?.method !== undefined) this.#answer(message);
        else if (message?.id === id) return of('data');
      }
    }
    return undefined;
  }

  #answer({ id, method = '', params = {} }: ClientMessage): void {
    if (id === undefined) return;
    const result = method === 'ping' ? {} : answerTo(method, params);
    const request = legacyRequest(0, 'notifications/', {}, this.#session);
    const answer = new Request(request, {
      body: JSON.stringify({ jsonrpc: '2.0', id, result }),
      method: 'POST',
    });
    // Its call says what became of it.
    this.#send(answer, HUNG_MS).catch(() => {});
  }

  async #resume(last: string, left: () => number): Promise<Response> {
    for (;;) {
      await delay(RESUME_MS);
      const headers = {
        ...Object.fromEntries(this.#session),
        accept: 'text/event-stream',
        'last-event-id': last,
      };
      try {
        return await this.#send(new Request(this.#url, { headers }), left());
      } catch (error) {
        if (left() < RESUME_MS) throw error;
      }
    }
  }

  async #send(request: Request, timeoutMs: number): Promise<Response> {
    const headers = { ...Object.fromEntries(request.headers), ...this.#headers };
    const { method } = request;
    const body = method === 'POST' ? await request.text() : undefined;
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(this.#url, {
      method,
      headers,
      signal,
      ...(body !== undefined && { body }),
    });
    if (response.status === 401) throw new UsageError(ASKS_FOR_TOKEN);
    return response;
  }

  async close(): Promise<void> {
    if (this.sessionId === undefined) return;
    await this.#send(
      new Request(this.#url, { method: 'DELETE', headers: [...this.#session] }),
      HUNG_MS,
    );
  }
}

/** Connects a client. `opened`: what the server said of itself, if the client is of this package. */
export async function openClient(
  kind: ClientKind,
  url: URL,
  headers: Headers,
  line?: Line,
): Promise<{ readonly client: ProveClient; readonly opened: Params }> {
  if (line !== undefined)
    return { client: await openOfficial(line, kind, url, headers), opened: {} };
  const client = new OwnClient(kind, url, headers);
  return { client, opened: await client.connect() };
}
