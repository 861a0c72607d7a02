/**
 * `auth.authorize`: what a caller may not use looks to that caller like something that does not exist.
 *
 *     call, get, read, subscribe, complete ─▶ refused: an `McpServer` gets it with an unknown name instead, and answers
 *                                             as it answers any unknown name; in that answer the name is put back.
 *                                             Any other server may take every name: it does not get the request
 *     lists                                ─▶ the answer is filtered
 *
 * The hook decides about a resource by its URI as sent and by `new URL(uri).href`, which SDK servers look up. Both must
 * be allowed. The server gets the URI as sent.
 *
 * Requests are changed before scopes and headers are checked, because those checks differ for what exists.
 */
import { createHmac } from 'node:crypto';
import type { AuthInfo, JSONRPCMessage, McpServer, RequestId, Transport } from '@modelcontextprotocol/server';
import { invalidParams, noToken, RPC, rpcError, type SojournError } from '../errors.ts';
import type { AuthorizeKind, ResolvedAuth } from '../options/auth-options.ts';
import type { RandomSource } from '../base/system.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { isObject, type RpcNotification, type RpcRequest, type RpcResponse } from '../protocol/jsonrpc.ts';
import { innerServer, isHighLevel, isMcpServer } from '../sdk/server-shape.ts';
import {
  type Authorizer,
  inPlaceOf,
  isRenamed,
  kindOfName,
  nameIn,
  type NameKind,
  namesSomething,
  renamedRequest,
  sentRequest,
} from '../session/calls/authorizer.ts';
import { isThenable } from '../options/checks.ts';
import { challengeWithoutError } from './context.ts';
import { type HookTimes, inHookTime } from '../session/hook-time.ts';
import type { MaybePromise } from '../types.ts';

/** A scheme of a URI as well, so that it replaces URIs. */
const UNKNOWN = 'sojourn-unknown:';
const UNKNOWN_NAME = /sojourn-unknown:[\w-]{43}/g;
const KEY_BYTES = 32;
/** In a challenge that the SDK wrote. */
const SCOPE = /\bscope="([^"]*)"/;

const UNSCOPED: AuthInfo = Object.freeze({ token: '', clientId: '', scopes: [] });

type Rights = Pick<ResolvedAuth, 'authorize' | 'optional' | 'metadataUrl'>;

/** Where a list has its items, and an item its name. */
const LISTS: Readonly<Record<string, readonly [items: string, kind: NameKind, name: string]>> = {
  'tools/list': ['tools', 'tool', 'name'],
  'prompts/list': ['prompts', 'prompt', 'name'],
  'resources/list': ['resources', 'resource', 'uri'],
  'resources/templates/list': ['resourceTemplates', 'template', 'uriTemplate'],
};

/** A request that is not answered yet, whose answer is not what the caller gets. */
type Pending = { readonly list: string; readonly authInfo: AuthInfo | undefined } | { readonly renamed: RpcRequest };

export class HookAuthorizer implements Authorizer {
  readonly #auth: Rights;
  readonly #times: HookTimes;
  /** Only this process can make the names that it makes. */
  readonly #key: Uint8Array;
  /** What attaches to the transport of a server. */
  readonly #connecting = new WeakMap<object, () => void>();

  constructor(auth: Rights, times: HookTimes, random: RandomSource) {
    this.#auth = auth;
    this.#times = times;
    this.#key = random(KEY_BYTES);
  }

  asAllowed(request: RpcRequest, authInfo: AuthInfo | undefined): MaybePromise<RpcRequest> {
    if (request.method === 'subscriptions/listen') return this.#allowedListen(request, authInfo);
    const name = nameIn(request);
    if (name === undefined) return request;
    const allowed = this.#allows(kindOfName(request), name, authInfo);
    const outcome = (isAllowed: boolean): RpcRequest =>
      isAllowed ? request : renamedRequest(request, this.#unknown(name));
    return allowed instanceof Promise ? allowed.then(outcome) : outcome(allowed);
  }

  /** `subscriptions/listen` of 2026-07-28 shows events of resources that the caller may read. */
  async #allowedListen(request: RpcRequest, authInfo: AuthInfo | undefined): Promise<RpcRequest> {
    const { params } = request;
    const filter = params?.['notifications'];
    const uris = listenUris(request);
    if (!isObject(filter) || uris === undefined) return request;
    const nameFor = async (uri: unknown): Promise<unknown> => {
      if (typeof uri !== 'string') return uri;
      return (await this.#allows('resource', uri, authInfo)) ? uri : this.#unknown(uri);
    };
    // Equal ones are asked about once.
    const different = [...new Set(uris)];
    const asked = await Promise.all(different.map(nameFor));
    const names = new Map(different.map((uri, n) => [uri, asked[n]]));
    const resourceSubscriptions = uris.map((uri) => names.get(uri));
    if (resourceSubscriptions.every((uri, n) => uri === uris[n])) return request;
    const renamed = { ...request, params: { ...params, notifications: { ...filter, resourceSubscriptions } } };
    return inPlaceOf(request, renamed);
  }

  /** The same for the same name, so that a retry of a renamed request is known as such. */
  #unknown(name: string): string {
    // JSON text tells lone surrogates apart, and UTF-8 does not.
    return UNKNOWN + createHmac('sha256', this.#key).update(JSON.stringify(name)).digest('base64url');
  }

  #allows(kind: NameKind, name: string, authInfo: AuthInfo | undefined): MaybePromise<boolean> {
    if (kind === 'tool' || kind === 'prompt') return this.#decide(kind, name, authInfo);
    const decided = namesOf(name, kind).map((one) => this.#decide('resource', one, authInfo));
    const all = (allowed: readonly boolean[]): boolean => !allowed.includes(false);
    return inOrder(decided, all);
  }

  #decide(kind: AuthorizeKind, name: string, authInfo: AuthInfo | undefined): MaybePromise<boolean> {
    const { authorize, optional } = this.#auth;
    if (authInfo === undefined && typeof optional === 'boolean') return optional;
    if (authInfo !== undefined && authorize === undefined) return true;
    const failed = (err: unknown): boolean => {
      this.#times.logger.warn(
        { err, kind },
        'auth.optional or auth.authorize threw: what it was asked about is refused',
      );
      return false;
    };
    try {
      const allowed: unknown = this.#ask(kind, name, authInfo);
      if (!isThenable(allowed)) return allowed === true;
      const inTime = inHookTime(this.#times, { hook: 'auth.authorize', sessionId: undefined }, allowed);
      return inTime.then((is) => is === true, failed);
    } catch (cause) {
      return failed(cause);
    }
  }

  #ask(kind: AuthorizeKind, name: string, authInfo: AuthInfo | undefined): unknown {
    const { authorize, optional } = this.#auth;
    if (authInfo !== undefined) return authorize?.(kind, name, authInfo);
    return typeof optional === 'function' && optional(kind, name);
  }

  challenge(refusal: SojournError | undefined): SojournError | undefined {
    const { optional, metadataUrl: resourceMetadataUrl } = this.#auth;
    if (refusal?.code !== 'INSUFFICIENT_SCOPE' || optional === false) return refusal;
    const [, scope = ''] = SCOPE.exec(refusal.headers?.['WWW-Authenticate'] ?? '') ?? [];
    const needs = {
      requiredScopes: scope.split(' '),
      ...(resourceMetadataUrl !== undefined && { resourceMetadataUrl }),
    };
    return noToken(challengeWithoutError(needs), 'Missing Authorization header');
  }

  watch(server: object): void {
    if (this.#auth.optional !== false && isMcpServer(server)) challengeAnonymous(server);
    // An `McpServer` connects the server inside it. The SDK may connect that one by itself.
    const connectable = innerServer(server) as { connect(transport: Transport): Promise<void> };
    const connect = connectable.connect.bind(connectable);
    connectable.connect = async (transport) => {
      let attached: unknown;
      const attach = (): void => {
        // Set again since then, it may not lead here any more.
        if (attached !== undefined && transport.onmessage === attached) return;
        this.#attach(transport, isHighLevel(server));
        attached = transport.onmessage;
      };
      this.#connecting.set(transport, attach);
      await connect(transport);
      attach();
    };
  }

  asked(transport: object): void {
    this.#connecting.get(transport)?.();
  }

  /** `knowsNames`: the server finds what is named in its own tables. */
  #attach(transport: Transport, knowsNames: boolean): void {
    const pending = new Map<RequestId, Pending>();
    const { onmessage } = transport;
    const send = transport.send.bind(transport);
    transport.onmessage = (message, extra) => {
      const refusal = refusalOf(message as RpcRequest | RpcNotification, knowsNames);
      if (refusal !== undefined) {
        send(refusal as JSONRPCMessage).catch((cause: unknown) => transport.onerror?.(cause as Error));
        return;
      }
      note(pending, message as RpcRequest | RpcNotification, extra?.authInfo);
      onmessage?.(message, extra);
    };
    transport.send = (message, options) => {
      const answer = message as RpcResponse;
      const entry = 'method' in message || answer.id === undefined ? undefined : pending.get(answer.id);
      if (entry === undefined || answer.id === undefined) return send(message, options);
      pending.delete(answer.id);
      const shown =
        'renamed' in entry ? this.#revealed(answer, entry.renamed) : this.#filtered(answer, entry.list, entry.authInfo);
      if (!(shown instanceof Promise)) return send(shown as JSONRPCMessage, options);
      return shown.then((filtered) => send(filtered as JSONRPCMessage, options));
    };
  }

  #revealed(answer: RpcResponse, request: RpcRequest): RpcResponse {
    return JSON.parse(this.reveal(JSON.stringify(answer), request)) as RpcResponse;
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
  reveal(json: string, request: RpcRequest): string {
    if (!isRenamed(request)) return json;
    const [unknown, sent] = [namesIn(request), namesIn(sentRequest(request))];
    const names = new Map(unknown.map((name, n) => [name, sent[n]]));
    return json.replace(UNKNOWN_NAME, (found) => {
      const name = names.get(found);
      return typeof name === 'string' ? JSON.stringify(name).slice(1, -1) : found;
    });
  }
}

/** The SDK asks a caller for no scope who has no `AuthInfo`: an anonymous one has no scope. */
function challengeAnonymous(server: McpServer): void {
  // Version 2.0.0 knows no scopes.
  const { resolveScopeChallenge: resolve } = server as Partial<McpServer>;
  if (resolve === undefined) return;
  server.resolveScopeChallenge = (asked) => resolve({ ...asked, authInfo: asked.authInfo ?? UNSCOPED });
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
  else if (isRenamed(message)) pending.set(id, { renamed: message });
}

/** The answer to a request that the server does not get. */
function refusalOf(message: RpcRequest | RpcNotification, knowsNames: boolean): RpcResponse | undefined {
  if (!('id' in message) || !('method' in message) || !namesSomething(message.method)) return undefined;
  const { jsonrpc, id, method } = message;
  const name = nameIn(sentRequest(message));
  // The hook could not be asked about it.
  if (name === undefined)
    return { jsonrpc, id, error: rpcError(invalidParams(`${method} needs a name that is a string`)) };
  return isRenamed(message) && !knowsNames ? { jsonrpc, id, error: notFound(kindOfName(message), name) } : undefined;
}

/** What an `McpServer` of the SDK answers. */
function notFound(kind: NameKind, name: string): NonNullable<RpcResponse['error']> {
  const code = RPC.invalidParams;
  if (kind === 'resource') return { code, message: `Resource not found: ${name}`, data: { uri: name } };
  const what = { tool: 'Tool', prompt: 'Prompt', template: 'Resource template' }[kind];
  return { code, message: `${what} ${name} not found` };
}

/** The names in a request about which the hook was asked. */
function namesIn(request: RpcRequest): readonly unknown[] {
  return listenUris(request) ?? [nameIn(request)];
}

/** `undefined`: no list of resources of a `subscriptions/listen`. */
function listenUris({ method, params }: RpcRequest): readonly unknown[] | undefined {
  const filter = method === 'subscriptions/listen' ? params?.['notifications'] : undefined;
  const uris = isObject(filter) ? filter['resourceSubscriptions'] : undefined;
  return Array.isArray(uris) ? uris : undefined;
}
