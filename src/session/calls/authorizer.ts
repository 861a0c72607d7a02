/**
 * What a caller may use, as sessions and eras need it. `src/auth/hook-authorizer.ts` implements it for the option
 * `auth.authorize`.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import type { SojournError } from '../../errors.ts';
import type { MaybePromise } from '../../stores/store.ts';

/** The call whose handler runs. */
interface AuthorizedCall {
  readonly authInfo: AuthInfo | undefined;
  /** `allows` said so. */
  readonly isRefused: boolean;
}

/** A `subscriptions/listen` as its caller may send it. */
export interface AllowedListen {
  readonly request: RpcRequest;
  /** A text that answers it, with the names that were sent. */
  reveal(text: string): string;
}

export interface Authorizer {
  /** Whether the caller may use what the request names. A step: it precedes scopes and the limits of tools. */
  allows(request: RpcRequest, authInfo: AuthInfo | undefined): MaybePromise<boolean>;
  /**
   * Around the handler: a refused request gets the server's own answer for an unknown name, and a list shows what its
   * caller may use.
   */
  around(call: AuthorizedCall, made: object, request: RpcRequest, run: (request: RpcRequest) => unknown): unknown;
  listen(request: RpcRequest, authInfo: AuthInfo | undefined): Promise<AllowedListen>;
  /** As whom a server asks an anonymous caller for scopes. */
  readonly unscoped: AuthInfo | undefined;
  /** The error for an anonymous caller whom this error refuses: a token may help. */
  challenge(refusal: SojournError | undefined): SojournError | undefined;
}

/** What a name is the name of. `template`: a resource, by its URI template. */
export type NameKind = 'tool' | 'prompt' | 'resource' | 'template';

/** The methods that name one thing, and where: in this member of `params`. A completion names it in its `ref`. */
const NAMED: Readonly<Record<string, readonly [kind: NameKind, member: 'name' | 'uri']>> = {
  'tools/call': ['tool', 'name'],
  'prompts/get': ['prompt', 'name'],
  'resources/read': ['resource', 'uri'],
  'resources/subscribe': ['resource', 'uri'],
};
const COMPLETION = 'completion/complete';

/** Whether `authorize` decides about requests of this method by a name in them. */
export function namesSomething(method: string): boolean {
  return method === COMPLETION || Object.hasOwn(NAMED, method);
}

/** `undefined`: the request names nothing, or not with a text. */
export function nameIn(request: Pick<RpcRequest, 'method' | 'params'>): string | undefined {
  const { method, params } = request;
  const ref = method === COMPLETION ? params?.['ref'] : undefined;
  const name = isObject(ref) ? ref[refMember(ref)] : namedBy(method, params);
  return typeof name === 'string' ? name : undefined;
}

function namedBy(method: string, params: RpcRequest['params']): unknown {
  return Object.hasOwn(NAMED, method) ? params?.[NAMED[method]?.[1] ?? ''] : undefined;
}

const refMember = (ref: Readonly<Record<string, unknown>>): 'name' | 'uri' =>
  ref['type'] === 'ref/prompt' ? 'name' : 'uri';

/** What the name is the name of, in a request in which `nameIn` finds one. */
export function kindOfName({ method, params }: RpcRequest): NameKind {
  const ref = params?.['ref'];
  if (method === COMPLETION && isObject(ref)) return refMember(ref) === 'name' ? 'prompt' : 'template';
  return NAMED[method]?.[0] ?? 'tool';
}

/** The same request about something else. */
export function withName(request: RpcRequest, name: string): RpcRequest {
  const { method, params } = request;
  const ref = params?.['ref'];
  if (method === COMPLETION && isObject(ref))
    return { ...request, params: { ...params, ref: { ...ref, [refMember(ref)]: name } } };
  return { ...request, params: { ...params, [NAMED[method]?.[1] ?? 'name']: name } };
}
