/**
 * `auth.authorize`: what a caller may not use looks to that caller like something that does not exist.
 *
 *     call, get, read, subscribe, complete ─▶ refused: dispatched with an unknown name instead. The server answers as
 *                                             it answers any unknown name; in that answer the name is put back
 *     lists                                ─▶ the answer is filtered
 *
 * The hook decides about a resource by its URI as sent and by `new URL(uri).href`, which SDK servers look up. Both must
 * be allowed. The server gets the URI as sent.
 *
 * The unknown name carries the name that was sent, for an instance that runs a recorded call again. Requests
 * are changed before scopes and headers are checked, because those checks differ for what exists.
 */
import type { AuthInfo, JSONRPCMessage, RequestId, Transport } from '@modelcontextprotocol/server';
import type { Authorize, AuthorizeKind } from '../options/auth-options.ts';
import { orUndefined } from '../or-undefined.ts';
import { isObject, type RpcNotification, type RpcRequest, type RpcResponse } from '../protocol/jsonrpc.ts';
import { innerServer } from '../protocol/server-shape.ts';
import type { Authorizer } from '../session/calls/authorizer.ts';
import { isThenable } from '../options/checks.ts';
import { type HookTimes, inHookTime } from '../session/server/hook-time.ts';
import type { MaybePromise } from '../types.ts';

type Bag = Readonly<Record<string, unknown>>;

/** A scheme of a URI as well, so that it replaces URIs. */
const UNKNOWN = 'sojourn-unknown:';
const UNKNOWN_NAME = /sojourn-unknown:([\w-]*)/g;

/** Where a list has its items, and an item its name. */
const LISTS: Readonly<Record<string, readonly [items: string, kind: NameKind, name: string]>> = {
  'tools/list': ['tools', 'tool', 'name'],
  'prompts/list': ['prompts', 'prompt', 'name'],
  'resources/list': ['resources', 'resource', 'uri'],
  'resources/templates/list': ['resourceTemplates', 'template', 'uriTemplate'],
};

/** What the hook decides about. `template`: of a resource, a URI template. */
type NameKind = AuthorizeKind | 'template';

interface Target {
  readonly kind: NameKind;
  readonly name: string;
  renamed(name: string): Bag;
}

/** A request that is not answered yet, whose answer is not what the caller gets. */
type Pending = { readonly list: string; readonly authInfo: AuthInfo | undefined } | 'renamed';

export class HookAuthorizer implements Authorizer {
  readonly #authorize: Authorize;
  readonly #times: HookTimes;

  constructor(authorize: Authorize, times: HookTimes) {
    this.#authorize = authorize;
    this.#times = times;
  }

  admit(request: RpcRequest, authInfo: AuthInfo | undefined): MaybePromise<RpcRequest> {
    if (request.method === 'subscriptions/listen') return this.#admitListen(request, authInfo);
    const target = targetOf(request);
    if (target === undefined) return request;
    const allowed = this.#allows(target.kind, revealed(target.name), authInfo);
    const outcome = (isAllowed: boolean): RpcRequest =>
      isAllowed ? request : { ...request, params: target.renamed(concealed(target.name)) };
    return allowed instanceof Promise ? allowed.then(outcome) : outcome(allowed);
  }

  /** `subscriptions/listen` of 2026-07-28 shows events of resources that the caller may read. */
  async #admitListen(request: RpcRequest, authInfo: AuthInfo | undefined): Promise<RpcRequest> {
    const { params } = request;
    const filter = params?.['notifications'];
    const uris: unknown = isObject(filter) ? filter['resourceSubscriptions'] : undefined;
    if (!isObject(filter) || !Array.isArray(uris)) return request;
    const resourceSubscriptions = await Promise.all(
      uris.map(async (uri: unknown) => {
        if (typeof uri !== 'string') return uri;
        return (await this.#allows('resource', revealed(uri), authInfo)) ? uri : concealed(uri);
      }),
    );
    return { ...request, params: { ...params, notifications: { ...filter, resourceSubscriptions } } };
  }

  #allows(kind: NameKind, name: string, authInfo: AuthInfo | undefined): MaybePromise<boolean> {
    if (kind === 'tool' || kind === 'prompt') return this.#decide(kind, name, authInfo);
    const decided = namesOf(name, kind).map((one) => this.#decide('resource', one, authInfo));
    const all = (allowed: readonly boolean[]): boolean => !allowed.includes(false);
    return inOrder(decided, all);
  }

  #decide(kind: AuthorizeKind, name: string, authInfo: AuthInfo | undefined): MaybePromise<boolean> {
    if (authInfo === undefined) return false;
    const failed = (err: unknown): boolean => {
      this.#times.logger.error({ err, kind }, 'auth.authorize threw; what it was asked about is refused');
      return false;
    };
    try {
      const allowed: unknown = this.#authorize(kind, name, authInfo);
      if (!isThenable(allowed)) return allowed === true;
      const inTime = inHookTime(this.#times, { hook: 'auth.authorize', sessionId: undefined }, allowed);
      return inTime.then((is) => is === true, failed);
    } catch (cause) {
      return failed(cause);
    }
  }

  watch(server: object): void {
    // An `McpServer` connects the server inside it. The SDK may connect that one by itself.
    const connectable = innerServer(server) as { connect(transport: Transport): Promise<void> };
    const connect = connectable.connect.bind(connectable);
    connectable.connect = async (transport) => {
      await connect(transport);
      this.#attach(transport);
    };
  }

  #attach(transport: Transport): void {
    const pending = new Map<RequestId, Pending>();
    const { onmessage } = transport;
    const send = transport.send.bind(transport);
    transport.onmessage = (message, extra) => {
      note(pending, message as RpcRequest | RpcNotification, extra?.authInfo);
      onmessage?.(message, extra);
    };
    transport.send = (message, options) => {
      const answer = message as RpcResponse;
      const entry = 'method' in message || answer.id === undefined ? undefined : pending.get(answer.id);
      if (entry === undefined || answer.id === undefined) return send(message, options);
      pending.delete(answer.id);
      const shown = entry === 'renamed' ? this.#revealed(answer) : this.#filtered(answer, entry.list, entry.authInfo);
      if (!(shown instanceof Promise)) return send(shown as JSONRPCMessage, options);
      return shown.then((filtered) => send(filtered as JSONRPCMessage, options));
    };
  }

  #revealed(answer: RpcResponse): RpcResponse {
    return JSON.parse(this.reveal(JSON.stringify(answer))) as RpcResponse;
  }

  #filtered(answer: RpcResponse, list: string, authInfo: AuthInfo | undefined): MaybePromise<RpcResponse> {
    const [member = '', kind = 'tool', name = ''] = LISTS[list] ?? [];
    const items: unknown = answer.result?.[member];
    if (!Array.isArray(items)) return answer;
    const decided = items.map((item: unknown): MaybePromise<boolean> => {
      const text = isObject(item) ? item[name] : undefined;
      return typeof text === 'string' && this.#allows(kind, text, authInfo);
    });
    return inOrder(decided, (allowed) => ({
      ...answer,
      result: { ...answer.result, [member]: items.filter((_item, n) => allowed[n] === true) },
    }));
  }

  /** JSON, in which the names are escaped as JSON text. */
  reveal(json: string): string {
    return json.replace(UNKNOWN_NAME, (_whole, name: string) => JSON.stringify(decoded(name)).slice(1, -1));
  }
}

/** What `use` makes of all decisions, at once where no decision is a promise. */
function inOrder<T>(decided: Array<MaybePromise<boolean>>, use: (allowed: readonly boolean[]) => T): MaybePromise<T> {
  const later = decided.some((one) => one instanceof Promise);
  return later ? Promise.all(decided.map(async (one) => one)).then(use) : use(decided as boolean[]);
}

/** The URI as sent and, where it differs, its normal form. A text that is no URI has one name. */
function namesOf(uri: string, kind: 'resource' | 'template'): readonly string[] {
  const href = orUndefined(() => new URL(uri).href);
  if (href === undefined) return [uri];
  // A server finds a template by its text, in which `URL` would encode the braces of an expression.
  const normal = kind === 'template' ? href.replaceAll('%7B', '{').replaceAll('%7D', '}') : href;
  return normal === uri ? [uri] : [uri, normal];
}

function note(
  pending: Map<RequestId, Pending>,
  message: RpcRequest | RpcNotification,
  authInfo: AuthInfo | undefined,
): void {
  if (!('id' in message)) {
    const cancelled = message.method === 'notifications/cancelled' ? message.params?.['requestId'] : undefined;
    if (cancelled !== undefined) pending.delete(cancelled as RequestId);
    return;
  }
  const { id, method } = message;
  if (Object.hasOwn(LISTS, method)) pending.set(id, { list: method, authInfo });
  else if (targetOf(message)?.name.startsWith(UNKNOWN) === true) pending.set(id, 'renamed');
}

/** What a request is about; `undefined`: nothing that `authorize` decides about. */
function targetOf({ method, params }: RpcRequest): Target | undefined {
  switch (method) {
    case 'tools/call':
      return member('tool', params, 'name');
    case 'prompts/get':
      return member('prompt', params, 'name');
    case 'resources/read':
    case 'resources/subscribe':
      return member('resource', params, 'uri');
    case 'completion/complete': {
      const ref = params?.['ref'];
      if (!isObject(ref)) return undefined;
      const found = ref['type'] === 'ref/prompt' ? member('prompt', ref, 'name') : member('template', ref, 'uri');
      return found && { ...found, renamed: (name) => ({ ...params, ref: found.renamed(name) }) };
    }
    default:
      return undefined;
  }
}

function member(kind: NameKind, params: Bag | undefined, key: 'name' | 'uri'): Target | undefined {
  const name = params?.[key];
  return typeof name === 'string' ? { kind, name, renamed: (other) => ({ ...params, [key]: other }) } : undefined;
}

function concealed(name: string): string {
  return name.startsWith(UNKNOWN) ? name : UNKNOWN + Buffer.from(name).toString('base64url');
}

/** A recorded call may have been refused before. */
function revealed(name: string): string {
  return name.startsWith(UNKNOWN) ? decoded(name.slice(UNKNOWN.length)) : name;
}

const decoded = (name: string): string => Buffer.from(name, 'base64url').toString();
