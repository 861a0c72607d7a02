/**
 * Pages of lists that are the same for every caller, because the application says so (`sharedLists`). The first handler
 * that is asked for a page answers for all callers. Later requests get its result, and no handler runs.
 *
 *     asked ──the handler answers──▶ kept ──the list changes, or its handler is replaced──▶ forgotten
 *
 * A page is kept by list, protocol version and cursor. No page is used or filled where code of the application may
 * change it for its caller alone: in a handler around the handler, or around `send` of the transport.
 */
import { orUndefined } from '../../base/or-undefined.ts';
import { isThenable } from '../../base/options/checks.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { methodOf } from '../../base/protocol/methods.ts';
import { keepText } from '../../base/protocol/list-texts.ts';
import type { SdkServer } from '../../sdk/sdk-server.ts';
import type { SharedList } from '../../base/types.ts';

/** The limit of one list, over all versions and cursors. A page past it is not kept. 1,000 small tools take 240 KB. */
const MOST_BYTES = 8 * 1024 * 1024;

type ListPage = Readonly<Record<string, unknown>>;

/** The pages of one list since it last changed. */
interface Pages {
  readonly handler: unknown;
  readonly kept: Map<string, ListPage>;
  /** Cursors of further pages, which kept pages name. A client cannot fill the memory with cursors that it invents. */
  readonly cursors: Set<unknown>;
  bytes: number;
}

export class SharedLists {
  readonly #shared: ReadonlySet<SharedList>;
  /** The key is the method. */
  readonly #pages = new Map<string, Pages>();

  constructor(names: readonly SharedList[]) {
    this.#shared = new Set(names);
  }

  /**
   * What `ask` gives, or the page that is kept of it. `handler`: that of every session, which the application may
   * replace at any time; `undefined`: each session has another.
   */
  around(
    inner: SdkServer,
    { method, params }: Pick<RpcRequest, 'method' | 'params'>,
    handler: unknown,
    ask: () => unknown,
  ): unknown {
    const { lists } = methodOf(method);
    if (lists === undefined || !this.#shared.has(lists.items)) return ask();
    if (Object.hasOwn(Object(inner.transport) as object, 'send') || !isPlain(params)) return ask();
    const cursor = params?.['cursor'];
    const pages = this.#pagesOf(method, handler);
    const key = `${inner.getNegotiatedProtocolVersion?.()} ${String(cursor)}`;
    const known = pages.kept.get(key);
    if (known !== undefined) return { ...known };
    const keep = (result: unknown): unknown => {
      // If the list has changed since, no later request finds these pages.
      const isKnown = cursor === undefined || pages.cursors.has(cursor);
      if (isKnown && isObject(result)) keepPage(pages, lists.items, key, result);
      return result;
    };
    const result = ask();
    return isThenable(result) ? result.then(keep) : keep(result);
  }

  #pagesOf(method: string, handler: unknown): Pages {
    let pages = this.#pages.get(method);
    if (pages === undefined || pages.handler !== handler)
      this.#pages.set(method, (pages = { handler, kept: new Map(), cursors: new Set(), bytes: 0 }));
    return pages;
  }

  /** `change`: the kind of an event, or the method of a notification. Ignores what is not about a list. */
  changed(change: string): void {
    const kind = methodOf(change).changes ?? change;
    for (const method of this.#pages.keys())
      if (methodOf(method).lists?.change === kind) this.#pages.delete(method);
  }
}

/** Keeps a frozen copy, because the application may change what its handler returned. */
function keepPage(
  pages: Pages,
  name: SharedList,
  key: string,
  { [name]: items, ...others }: ListPage,
): void {
  const json = Array.isArray(items) ? orUndefined(() => JSON.stringify(items)) : undefined;
  const bytes = json === undefined ? Infinity : Buffer.byteLength(json);
  if (json === undefined || pages.kept.has(key) || pages.bytes + bytes > MOST_BYTES) return;
  pages.bytes += bytes;
  const copy = JSON.parse(json, (_, value: unknown) => Object.freeze(value)) as object;
  keepText(copy, json);
  pages.kept.set(key, { [name]: copy, ...others });
  if (typeof others['nextCursor'] === 'string') pages.cursors.add(others['nextCursor']);
}

/** Whether the params have only members that cannot change the answer, in the form of the specification. */
function isPlain(params: RpcRequest['params']): boolean {
  if (params === undefined) return true;
  for (const name in params) if (name !== 'cursor' && name !== '_meta') return false;
  const { cursor, _meta: meta = {} } = params;
  if ((cursor !== undefined && typeof cursor !== 'string') || !isObject(meta)) return false;
  const { progressToken } = meta;
  return (
    progressToken === undefined ||
    typeof progressToken === 'string' ||
    Number.isSafeInteger(progressToken)
  );
}
