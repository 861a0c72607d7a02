/**
 * `auth.authorize`: what a caller may not use looks to that caller like something that does not exist.
 *
 *     call, get, read, subscribe, complete ─▶ refused: an `McpServer` gets it with an unknown name instead, and answers
 *                                             as it answers any unknown name; in that answer the name is put back.
 *                                             The handler of any other server may take every name, and does not run
 *     lists                                ─▶ the result is filtered
 *     methods of the application           ─▶ refused: as a method that the server does not have (`handler-seam.ts`)
 *
 * The decision about a name is a step before the scopes, the headers and the limits of tools, which differ for what
 * exists. Names and lists change around the handler (`session/calls/handler-seam.ts`).
 *
 * The hook decides about a resource by its URI as sent and by `new URL(uri).href`, which SDK servers look up. Both must
 * be allowed. The server gets the URI as sent.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { invalidParams, RPC, rpcError } from '../../base/errors.ts';
import type { AuthorizeKind } from '../../base/options/auth-options.ts';
import type { ResolvedAuth } from '../../base/options/resolve-auth.ts';
import { base64url, type RandomSource } from '../../base/system.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { type Listed, methodOf, type NameKind } from '../../base/protocol/methods.ts';
import { isHighLevel } from '../../sdk/server-shape.ts';
import { AnswerError, type RpcErrorObject, thrownAnswer } from '../../base/errors/answer-error.ts';
import { askedAbout, nameIn, namesSomething, withName } from './request-names.ts';
import { isThenable } from '../../base/options/checks.ts';
import { anonymousInfo } from './context.ts';
import { thrownWithoutToken } from './without-token.ts';
import { type HookTimes, inHookTime } from '../../base/hook-time.ts';
import type { MaybePromise } from '../../base/types.ts';

/** A scheme of a URI as well, so that it replaces URIs. Random bytes follow, which no server has seen. */
const UNKNOWN = 'sojourn-unknown:';
const UNKNOWN_BYTES = 32;
const NONE: ReadonlySet<string> = new Set();

const NO_RESOURCE = anonymousInfo(undefined);
const withoutSlash = (path: string): string => (path.endsWith('/') ? path.slice(0, -1) : path);

type Rights = Pick<ResolvedAuth, 'authorize' | 'anonymous' | 'resources'>;

export class Authorizer {
  readonly #auth: Rights;
  readonly #times: HookTimes;
  readonly #random: RandomSource;
  /** One for each path of a resource, the first for all others. */
  readonly #unscoped: ReadonlyArray<readonly [path: string, authInfo: AuthInfo]>;

  constructor(auth: Rights, times: HookTimes, random: RandomSource) {
    this.#auth = auth;
    this.#times = times;
    this.#random = random;
    const resources = auth.anonymous === false ? [] : auth.resources;
    this.#unscoped = resources.map(({ document, url }) => [
      withoutSlash(new URL(document.resource).pathname),
      anonymousInfo(url),
    ]);
  }

  /** The caller whom a server asks for scopes in place of an anonymous one, with the metadata of the path of `url`. */
  unscoped(url = ''): AuthInfo | undefined {
    if (this.#auth.anonymous === false) return undefined;
    const [whole = ''] = url.split('?', 1);
    const path = withoutSlash(whole);
    const found =
      this.#unscoped.find(([own]) => own === path) ??
      this.#unscoped.find(([own]) => own.endsWith(path)) ??
      this.#unscoped[0];
    return found?.[1] ?? NO_RESOURCE;
  }

  /** Whether the caller may use what the request names. A step: it precedes scopes and the limits of tools. */
  allows(request: RpcRequest, authInfo: AuthInfo | undefined): MaybePromise<boolean> {
    const asked = askedAbout(request);
    return asked === undefined || this.#allows(...asked, authInfo);
  }

  /**
   * Around the handler: a refused request gets the server's own answer for an unknown name, and a list shows what its
   * caller may use. `isRefused`: `allows` said so.
   */
  around(
    {
      authInfo,
      isRefused,
    }: { readonly authInfo: AuthInfo | undefined; readonly isRefused: boolean },
    made: object,
    request: RpcRequest,
    run: (request: RpcRequest) => unknown,
  ): unknown {
    const { method } = request;
    const { lists } = methodOf(method);
    if (lists !== undefined) return this.#filtered(run(request), lists, authInfo);
    if (!namesSomething(method)) return run(request);
    const name = nameIn(request);
    // The hook could not be asked about it.
    if (name === undefined)
      throw new AnswerError(rpcError(invalidParams(`${method} needs a name that is a string`)));
    if (!isRefused) return run(request);
    // Any other server may take every name.
    if (!isHighLevel(made)) throw new AnswerError(notFound(askedAbout(request)?.[0], name));
    return this.#asUnknown(request, name, run);
  }

  /** The server gets an unknown name. In what it returns or throws the name is put back. */
  async #asUnknown(
    request: RpcRequest,
    name: string,
    run: (request: RpcRequest) => unknown,
  ): Promise<unknown> {
    const unknown = UNKNOWN + base64url(this.#random(UNKNOWN_BYTES));
    const revealed = (value: unknown): unknown =>
      JSON.parse(
        JSON.stringify(value).replaceAll(unknown, () => JSON.stringify(name).slice(1, -1)),
      );
    try {
      return revealed(await run(withName(request, unknown)));
    } catch (cause) {
      throw new AnswerError(revealed(thrownAnswer(cause)) as RpcErrorObject);
    }
  }

  /**
   * The URIs in a `subscriptions/listen` that its caller may not read: it gets no event of them. Each is asked about
   * once.
   */
  async unheard(
    { params }: RpcRequest,
    authInfo: AuthInfo | undefined,
  ): Promise<ReadonlySet<unknown>> {
    const filter = params?.['notifications'];
    const uris = isObject(filter) ? filter['resourceSubscriptions'] : undefined;
    if (!Array.isArray(uris)) return NONE;
    const named = [...new Set(uris as unknown[])].filter(
      (uri): uri is string => typeof uri === 'string',
    );
    const decided = named.map((uri) => this.#allows('resource', uri, authInfo));
    return withAll(decided, (allowed) => new Set(named.filter((_uri, n) => allowed[n] !== true)));
  }

  #allows(
    kind: NameKind | 'method',
    name: string,
    authInfo: AuthInfo | undefined,
  ): MaybePromise<boolean> {
    if (kind !== 'resource' && kind !== 'template') return this.#decide(kind, name, authInfo);
    const decided = namesOf(name, kind).map((one) => this.#decide('resource', one, authInfo));
    return withAll(decided, (allowed) => !allowed.includes(false));
  }

  #decide(
    kind: AuthorizeKind,
    name: string,
    authInfo: AuthInfo | undefined,
  ): MaybePromise<boolean> {
    const { authorize, anonymous } = this.#auth;
    if (authInfo === undefined && typeof anonymous === 'boolean') return anonymous;
    if (authInfo !== undefined && authorize === undefined) return true;
    const failed = (cause: unknown): boolean => {
      this.#times.logger.warn(
        { err: thrownWithoutToken(cause, authInfo?.token), kind },
        'auth.anonymous or auth.authorize threw: what it was asked about is refused',
      );
      return false;
    };
    try {
      const allowed: unknown =
        authInfo === undefined
          ? typeof anonymous === 'function' && anonymous(kind, name)
          : authorize?.(kind, name, authInfo);
      if (!isThenable(allowed)) return allowed === true;
      const inTime = inHookTime(
        this.#times,
        { hook: 'auth.authorize', sessionId: undefined },
        allowed,
      );
      return inTime.then((is) => is === true, failed);
    } catch (cause) {
      return failed(cause);
    }
  }

  async #filtered(answer: unknown, list: Listed, authInfo: AuthInfo | undefined): Promise<unknown> {
    const result = await answer;
    const items = isObject(result) ? result[list.items] : undefined;
    if (!isObject(result) || !Array.isArray(items)) return result;
    const decided = items.map((item: unknown): MaybePromise<boolean> => {
      const text = isObject(item) ? item[list.member] : undefined;
      return typeof text === 'string' && this.#allows(list.kind, text, authInfo);
    });
    return withAll(decided, (allowed) => ({
      ...result,
      [list.items]: items.filter((_item, n) => allowed[n] === true),
    }));
  }
}

/** What `use` makes of all decisions, at once where no decision is a promise. */
export function withAll<T>(
  decided: Array<MaybePromise<boolean>>,
  use: (allowed: readonly boolean[]) => T,
): MaybePromise<T> {
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

/** What an `McpServer` of the SDK answers. */
function notFound(kind: NameKind | 'method' = 'method', name: string): RpcErrorObject {
  const code = RPC.invalidParams;
  if (kind === 'resource')
    return { code, message: `Resource not found: ${name}`, data: { uri: name } };
  const what = { tool: 'Tool', prompt: 'Prompt', template: 'Resource template', method: 'Method' }[
    kind
  ];
  return { code, message: `${what} ${name} not found` };
}
