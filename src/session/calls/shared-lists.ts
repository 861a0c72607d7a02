/**
 * Pages of lists that are the same for every caller, because the application says so (`sharedLists`). The server
 * answers the first request for a page; later requests get the JSON of that answer, and no handler runs.
 *
 *     asked ──the server answers──▶ kept ──the list changes, or its handler is replaced──▶ forgotten
 *
 * A page is kept by list, protocol version and cursor. A request uses and fills pages only on the short way
 * (`sdk/request-entry.ts`): code that wraps a transport may filter what passes, for its caller alone.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { isObject, type RpcRequest, type RpcResponse } from '../../protocol/jsonrpc.ts';
import type { SharedList } from '../../types.ts';
import { LIST_CHANGED } from '../../protocol/list-changed.ts';

interface ListShape {
  readonly name: SharedList;
  readonly change: keyof typeof LIST_CHANGED;
}

/** The key is the method. The name of a list is also the member of its result that holds the items. */
const LISTS: Readonly<Record<string, ListShape>> = {
  'tools/list': { name: 'tools', change: 'tools_list_changed' },
  'prompts/list': { name: 'prompts', change: 'prompts_list_changed' },
  'resources/list': { name: 'resources', change: 'resources_list_changed' },
  'resources/templates/list': { name: 'resourceTemplates', change: 'resources_list_changed' },
};

/** The limit of one list, over all versions and cursors. A page past it is not kept. 1,000 small tools take 240 KB. */
const MOST_BYTES = 8 * 1024 * 1024;

/** A page that was kept. */
export class KnownPage {
  readonly #resultJson: string;
  /** The names and annotations of a list of tools, from which a session learns. */
  readonly hints: RpcResponse | undefined;

  constructor(resultJson: string, hints: RpcResponse | undefined) {
    this.#resultJson = resultJson;
    this.hints = hints;
  }

  /** In the order in which the SDK writes its answers. */
  answerTo(id: RequestId | undefined): string {
    return `{"result":${this.#resultJson},"jsonrpc":"2.0","id":${JSON.stringify(id)}}`;
  }

  /** The same as a value. */
  answer(id: RequestId | undefined): RpcResponse {
    return JSON.parse(this.answerTo(id)) as RpcResponse;
  }
}

/** The pages of one list since it last changed. */
class Pages {
  readonly handler: unknown;
  readonly #items: string;
  readonly #known = new Map<string, KnownPage>();
  /** Cursors of further pages, which kept pages name. A client cannot fill the memory with cursors that it invents. */
  readonly #cursors = new Set<string>();
  #bytes = 0;
  #forgotten = false;

  constructor(items: string, handler: unknown) {
    this.#items = items;
    this.handler = handler;
  }

  get(key: string): KnownPage | undefined {
    return this.#known.get(key);
  }

  /** The list has changed. Requests that are running fill and use these pages no more. */
  forget(): void {
    this.#forgotten = true;
    this.#known.clear();
  }

  keep(version: string, cursor: string | undefined, { result }: RpcResponse): void {
    const key = keyOf(version, cursor);
    if (this.#forgotten || result === undefined || (cursor !== undefined && !this.#cursors.has(key))) return;
    const items = result[this.#items];
    const { nextCursor, resultType = 'complete' } = result;
    if (!Array.isArray(items) || resultType !== 'complete') return;
    const json = jsonOf(result);
    const bytes = json === undefined ? Infinity : Buffer.byteLength(json);
    if (json === undefined || this.#known.has(key) || this.#bytes + bytes > MOST_BYTES) return;
    this.#bytes += bytes;
    this.#known.set(key, new KnownPage(json, this.#items === 'tools' ? hintsOf(items) : undefined));
    if (typeof nextCursor === 'string') this.#cursors.add(keyOf(version, nextCursor));
  }
}

/** The page that one request asks for. */
export class ListPage {
  readonly #pages: Pages;
  readonly #version: string;
  readonly #cursor: string | undefined;
  #asked = false;

  constructor(pages: Pages, version: string, cursor: string | undefined) {
    this.#pages = pages;
    this.#version = version;
    this.#cursor = cursor;
  }

  get known(): KnownPage | undefined {
    return this.#pages.get(keyOf(this.#version, this.#cursor));
  }

  /** The server is asked on the short way, so its answer may be kept. */
  asked(): void {
    this.#asked = true;
  }

  keep(answer: RpcResponse): void {
    if (this.#asked) this.#pages.keep(this.#version, this.#cursor, answer);
  }
}

/** The handlers of a server that serves all sessions. */
interface ListHandlers {
  handlerOf(method: string): unknown;
  isReplacedIn(server: unknown, method: string): boolean;
}

export class SharedLists {
  readonly #shared: ReadonlySet<string>;
  readonly #definition: ListHandlers | undefined;
  /** The key is the method. */
  readonly #pages = new Map<string, Pages>();

  /** `definition`: the application may replace its handlers at any time. */
  constructor(names: readonly SharedList[], definition: ListHandlers | undefined) {
    const methods = Object.entries(LISTS).filter(([, { name }]) => names.includes(name));
    this.#shared = new Set(methods.map(([method]) => method));
    this.#definition = definition;
  }

  /** `undefined`: no shared list, or a request that only the server can judge. */
  page({ method, params }: RpcRequest, version: string, server: unknown): ListPage | undefined {
    if (!this.#shared.has(method) || !isPlain(params)) return undefined;
    if (this.#definition?.isReplacedIn(server, method) === true) return undefined;
    const handler = this.#definition?.handlerOf(method);
    let pages = this.#pages.get(method);
    if (pages === undefined || pages.handler !== handler) {
      pages?.forget();
      pages = new Pages(LISTS[method]?.name ?? '', handler);
      this.#pages.set(method, pages);
    }
    return new ListPage(pages, version, params?.['cursor'] as string | undefined);
  }

  /** `change`: the kind of an event, or the method of a notification. Ignores what is not about a list. */
  changed(change: string): void {
    for (const [method, pages] of this.#pages) {
      const kind = LISTS[method]?.change;
      if (kind === undefined || (kind !== change && LIST_CHANGED[kind] !== change)) continue;
      pages.forget();
      this.#pages.delete(method);
    }
  }
}

function keyOf(version: string, cursor: string | undefined): string {
  return cursor === undefined ? version : `${version} ${cursor}`;
}

/** Whether the params have only members that cannot change the answer, in the form of the specification. */
function isPlain(params: RpcRequest['params']): boolean {
  if (params === undefined) return true;
  for (const name in params) if (name !== 'cursor' && name !== '_meta') return false;
  const { cursor, _meta: meta = {} } = params;
  if ((cursor !== undefined && typeof cursor !== 'string') || !isObject(meta)) return false;
  const { progressToken } = meta;
  return progressToken === undefined || typeof progressToken === 'string' || Number.isSafeInteger(progressToken);
}

function jsonOf(result: object): string | undefined {
  try {
    return JSON.stringify(result);
  } catch {
    return undefined;
  }
}

function hintsOf(items: readonly unknown[]): RpcResponse {
  const tools = items.map((item) => {
    const { name, annotations } = isObject(item) ? item : {};
    return { name, annotations: isObject(annotations) ? { ...annotations } : undefined };
  });
  return { jsonrpc: '2.0', result: { tools } };
}
