/** A client of each era that asks a server for its lists, for `sojourn check`. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { isObject } from '../protocol/jsonrpc.ts';
import { type JsonRpcAnswer, RawClient, type RawRequestOptions } from '../testing/raw-client.ts';

/** A server that connects to something when a client comes takes a while. */
const ANSWER_MS = 30_000;
/** Of a list. A server that never ends one must not keep the command. */
const MOST_PAGES = 100;

const MODERN = '2026-07-28';
const CLIENT = { name: 'sojourn check', version: '1' };

/** The lists of a server, by the names of their items. A list for which it has no capability is missing. */
export type Lists = Readonly<Record<string, readonly string[]>>;

export interface Found {
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

export class CheckClient {
  readonly #raw: RawClient;
  readonly #modern: boolean;
  /** What `initialize` or `server/discover` was answered with. */
  #opened: unknown = undefined;

  /** `session`: continues this one. */
  constructor(url: string, era: '2025' | '2026', session?: CheckClient) {
    this.#raw = new RawClient(url, { timeoutMs: ANSWER_MS });
    this.#modern = era === '2026';
    if (session === undefined) return;
    this.#raw.sessionId = session.#raw.sessionId;
    this.#raw.protocolVersion = session.#raw.protocolVersion;
    this.#opened = session.#opened;
  }

  /** Connects, unless it continues a session, and asks for every list. Rejects with what went wrong. */
  async look(): Promise<Found> {
    const result = (this.#opened ??= await this.#open());
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

  async #open(): Promise<unknown> {
    if (this.#modern) {
      const { serverInfo, ...result } = (await this.#ask('server/discover')) as Record<string, unknown>;
      const meta = isObject(result['_meta']) ? result['_meta'] : {};
      return { ...result, serverInfo: serverInfo ?? meta['io.modelcontextprotocol/serverInfo'] };
    }
    const { message } = await this.#raw.initialize({ clientInfo: CLIENT });
    return resultOf('initialize', message);
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
    const options: RawRequestOptions = { version: MODERN, headers: { 'mcp-method': method } };
    const { message } = this.#modern
      ? await this.#raw.call(method, { ...params, _meta: meta }, options)
      : await this.#raw.call(method, params);
    return resultOf(method, message);
  }

  get hasSession(): boolean {
    return this.#raw.sessionId !== undefined;
  }

  close(): void {
    this.#raw.close();
  }
}

function resultOf(method: string, { result, error }: JsonRpcAnswer): unknown {
  if (error !== undefined) throw new Error(`${method} was answered with the error ${error.code}: ${error.message}`);
  return result;
}
