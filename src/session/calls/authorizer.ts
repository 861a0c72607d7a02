/**
 * What a caller may use, as sessions and eras need it. `src/auth/hook-authorizer.ts` implements it for the option
 * `auth.authorize`.
 *
 * A request that its caller may not send is renamed: the server gets it with an unknown name. The renamed request knows
 * the request that was sent. Records, retries and other instances get that one, so no text of a client is ever taken
 * for a name that this library wrote.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import type { SojournError } from '../../errors.ts';
import type { MaybePromise } from '../../stores/store.ts';

export interface Authorizer {
  /**
   * The request to dispatch for this caller: the given request, or a request with an unknown name in place of a name
   * that the caller may not use. The answer is then the server's own answer for an unknown name.
   */
  asAllowed(request: RpcRequest, authInfo: AuthInfo | undefined): MaybePromise<RpcRequest>;
  /** Before the server is connected: its lists show what their callers may use, its errors the names that were sent. */
  watch(server: object): void;
  /** From now on messages come through this transport, though `connect()` of a watched server still runs. */
  asked(transport: object): void;
  /** The error for an anonymous caller whom this error refuses: a token may help. */
  challenge(refusal: SojournError | undefined): SojournError | undefined;
  /** A text that answers this request, with the names that were sent. */
  reveal(text: string, request: RpcRequest): string;
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
function withName(request: RpcRequest, name: string): RpcRequest {
  const { method, params } = request;
  const ref = params?.['ref'];
  if (method === COMPLETION && isObject(ref))
    return { ...request, params: { ...params, ref: { ...ref, [refMember(ref)]: name } } };
  return { ...request, params: { ...params, [NAMED[method]?.[1] ?? 'name']: name } };
}

/** JSON leaves it out, and no message of a client has it. */
const SENT = Symbol('the request that was sent');

interface Renamed extends RpcRequest {
  readonly [SENT]?: RpcRequest;
}

/** `renamed`, which remembers that its client sent `request`. */
export function inPlaceOf(request: RpcRequest, renamed: RpcRequest): RpcRequest {
  const made: Renamed = { ...renamed, [SENT]: request };
  return made;
}

export function renamedRequest(request: RpcRequest, name: string): RpcRequest {
  return inPlaceOf(request, withName(request, name));
}

/** The request as its client sent it: the given one, unless it was renamed. */
export function sentRequest(request: RpcRequest): RpcRequest {
  return (request as Renamed)[SENT] ?? request;
}

export function isRenamed(request: RpcRequest): boolean {
  return (request as Renamed)[SENT] !== undefined;
}

/** The requests of one POST, each allowed. */
export function eachAsAllowed(
  authorizer: Authorizer,
  requests: readonly RpcRequest[],
  authInfo: AuthInfo | undefined,
): MaybePromise<readonly RpcRequest[]> {
  const allowed = requests.map((request) => authorizer.asAllowed(request, authInfo));
  return allowed.some((one) => one instanceof Promise)
    ? Promise.all(allowed.map(async (one) => one))
    : (allowed as RpcRequest[]);
}
