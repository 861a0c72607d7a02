/** What a request names: `auth.authorize` decides about it. */
import { isObject, type RpcRequest } from '../protocol/jsonrpc.ts';

/** What a name is the name of. `template`: a resource, by its URI template. */
export type NameKind = 'tool' | 'prompt' | 'resource' | 'template';

/** The methods that name one thing, and where: in this member of `params`. A completion names it in its `ref`. */
const NAMED = new Map<string, readonly [kind: NameKind, member: 'name' | 'uri']>([
  ['tools/call', ['tool', 'name']],
  ['prompts/get', ['prompt', 'name']],
  ['resources/read', ['resource', 'uri']],
  ['resources/subscribe', ['resource', 'uri']],
]);
const COMPLETION = 'completion/complete';

type Named = Pick<RpcRequest, 'method' | 'params'>;

/** Whether `authorize` decides about requests of this method by a name in them. */
export function namesSomething(method: string): boolean {
  return method === COMPLETION || NAMED.has(method);
}

/** Where a request names something: in `params`, or for a completion in its `ref`. */
function placeIn({ method, params }: Named): readonly [kind: NameKind, member: 'name' | 'uri', holder: unknown] {
  if (method !== COMPLETION) return [...(NAMED.get(method) ?? ['tool', 'name']), params];
  const ref = params?.['ref'];
  return isObject(ref) && ref['type'] === 'ref/prompt' ? ['prompt', 'name', ref] : ['template', 'uri', ref];
}

/** `undefined`: the request names nothing, or not with a text. */
export function nameIn(request: Named): string | undefined {
  const [, member, holder] = placeIn(request);
  const name = namesSomething(request.method) && isObject(holder) ? holder[member] : undefined;
  return typeof name === 'string' ? name : undefined;
}

/** What the name is the name of, in a request in which `nameIn` finds one. */
export const kindOfName = (request: RpcRequest): NameKind => placeIn(request)[0];

/** The same request, in which `nameIn` finds a name, about something else. */
export function withName(request: RpcRequest, name: string): RpcRequest {
  const { method, params } = request;
  const [, member, holder] = placeIn(request);
  const named = { ...(holder as object), [member]: name };
  return { ...request, params: method === COMPLETION ? { ...params, ref: named } : named };
}
