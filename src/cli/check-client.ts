/** A client of each era that asks a server for its lists, for `sojourn check`. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import { isObject } from '../protocol/jsonrpc.ts';

/** A server that connects to something when a client comes takes a while. */
const ANSWER_MS = 30_000;
/** A list without an end must not keep the command. */
const MOST_PAGES = 100;

const LEGACY = '2025-11-25';
const MODERN = '2026-07-28';
const CLIENT = { name: 'sojourn check', version: '1' };

/** The lists of a server, by the names of their items. A list for which it has no capability is missing. */
export type Lists = Readonly<Record<string, readonly string[]>>;

export interface Finding {
  /** Name and version. */
  readonly server: string;
  readonly version: string;
  readonly lists: Lists;
}

const LISTS = [
  ['tools', 'tools', 'tools/list', 'name'],
  ['prompts', 'prompts', 'prompts/list', 'name'],
  ['resources', 'resources', 'resources/list', 'uri'],
  ['resourceTemplates', 'resources', 'resources/templates/list', 'uriTemplate'],
] as const;

type Headers = Readonly<Record<string, string>>;

interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

export class CheckClient {
  readonly #url: string;
  readonly #modern: boolean;
  /** What `initialize` or `server/discover` was answered with. */
  #opened: unknown = undefined;
  #session: Headers = {};
  #lastId = 0;

  /** `before`: its session is continued. */
  constructor(url: string, era: '2025' | '2026', before?: CheckClient) {
    this.#url = url;
    this.#modern = era === '2026';
    if (before === undefined) return;
    this.#opened = before.#opened;
    this.#session = before.#session;
    this.#lastId = before.#lastId;
  }

  get hasSession(): boolean {
    return this.#session['mcp-session-id'] !== undefined;
  }

  /** Connects, unless it continues a session, and asks for every list. Rejects with what went wrong. */
  async look(): Promise<Finding> {
    const result = (this.#opened ??= await (this.#modern ? this.#discover() : this.#initialize()));
    const { capabilities, serverInfo, protocolVersion } = result as Record<string, unknown>;
    const lists: Record<string, readonly string[]> = {};
    for (const [list, capability, method, key] of LISTS) {
      if (isObject(capabilities) && capabilities[capability] !== undefined)
        lists[list] = await this.#list(method, list, key);
    }
    const { name, version } = (isObject(serverInfo) ? serverInfo : {}) as Record<string, unknown>;
    return {
      server: `${String(name)} ${String(version)}`,
      version: typeof protocolVersion === 'string' ? protocolVersion : MODERN,
      lists,
    };
  }

  async #discover(): Promise<unknown> {
    const { serverInfo, ...result } = (await this.#ask('server/discover')) as Record<string, unknown>;
    const meta = isObject(result['_meta']) ? result['_meta'] : {};
    return { ...result, serverInfo: serverInfo ?? meta['io.modelcontextprotocol/serverInfo'] };
  }

  async #initialize(): Promise<unknown> {
    const params = { protocolVersion: LEGACY, capabilities: {}, clientInfo: CLIENT };
    const { response, answer } = await this.#call('initialize', params);
    const result = resultOf('initialize', answer);
    const id = response.headers.get('mcp-session-id');
    const version = isObject(result) ? result['protocolVersion'] : undefined;
    this.#session = {
      ...(id !== null && { 'mcp-session-id': id }),
      ...(typeof version === 'string' && { 'mcp-protocol-version': version }),
    };
    const { status } = await this.#post({ jsonrpc: '2.0', method: 'notifications/initialized' }, {});
    if (status !== 202) throw new Error(`notifications/initialized was answered with status ${status}`);
    return result;
  }

  async #list(method: string, list: string, key: string): Promise<string[]> {
    const names: string[] = [];
    let cursor: unknown;
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const result = await this.#ask(method, cursor === undefined ? {} : { cursor });
      const items = isObject(result) ? result[list] : undefined;
      if (!Array.isArray(items)) throw new Error(`${method} was answered without ${list}`);
      names.push(...items.map((item: unknown) => String(isObject(item) ? item[key] : item)));
      cursor = isObject(result) ? result['nextCursor'] : undefined;
      if (typeof cursor !== 'string') return names;
    }
    throw new Error(`${method} has more than ${MOST_PAGES} pages`);
  }

  async #ask(method: string, params: object = {}): Promise<unknown> {
    const meta = {
      [PROTOCOL_VERSION_META_KEY]: MODERN,
      [CLIENT_INFO_META_KEY]: CLIENT,
      [CLIENT_CAPABILITIES_META_KEY]: {},
    };
    const { answer } = this.#modern
      ? await this.#call(method, { ...params, _meta: meta }, { 'mcp-method': method, 'mcp-protocol-version': MODERN })
      : await this.#call(method, params);
    return resultOf(method, answer);
  }

  async #call(method: string, params: object, headers: Headers = {}): Promise<{ response: Response; answer: Answer }> {
    const id = ++this.#lastId;
    const response = await this.#post({ jsonrpc: '2.0', id, method, params }, headers);
    const text = await response.text();
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    for (const json of isStream ? text.matchAll(/^data: (.+)$/gm) : [['', text]]) {
      const message = orUndefined(() => JSON.parse(json[1] ?? '') as unknown);
      if (isObject(message) && message['id'] === id && !('method' in message)) return { response, answer: message };
      const { error } = (isObject(message) ? message : {}) as Answer;
      if (error !== undefined && !isStream) return { response, answer: { error } };
    }
    throw new Error(`${method} was answered with status ${response.status} and no answer`);
  }

  #post(message: object, headers: Headers): Promise<Response> {
    return fetch(this.#url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...this.#session,
        ...headers,
      },
      body: JSON.stringify(message),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  }
}

function resultOf(method: string, { result, error }: Answer): unknown {
  if (error !== undefined) throw new Error(`${method} was answered with the error ${error.code}: ${error.message}`);
  return result;
}
