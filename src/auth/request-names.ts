/** What a request names: `auth.authorize` decides about it. */
import { isObject, type RpcRequest } from '../protocol/jsonrpc.ts';

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
