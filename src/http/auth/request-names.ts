/** What a request names: `auth.authorize` decides about it. */
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import {
  isKnownRequest,
  type Named,
  type NameKind,
  requestOf,
} from '../../base/protocol/methods.ts';

type Naming = Pick<RpcRequest, 'method' | 'params'>;

/** What `authorize` decides about by a name in requests of this method. */
function namedIn(method: string): Named | undefined {
  const { names } = requestOf(method);
  return names?.isFree === true ? undefined : names;
}

/** Whether `authorize` decides about requests of this method by a name in them. */
export const namesSomething = (method: string): boolean => namedIn(method) !== undefined;

/** Where a request names something: in `params`, or for a completion in its `ref`. */
function placeIn(
  { kind, member, isInRef }: Named,
  params: Naming['params'],
): readonly [kind: NameKind, member: 'name' | 'uri', holder: unknown] {
  if (isInRef !== true) return [kind, member, params];
  const ref = params?.['ref'];
  return isObject(ref) && ref['type'] === 'ref/prompt'
    ? ['prompt', 'name', ref]
    : [kind, member, ref];
}

/** `undefined`: the request names nothing, or not with a text. */
export function nameIn({ method, params }: Naming): string | undefined {
  const named = namedIn(method);
  if (named === undefined) return undefined;
  const [, member, holder] = placeIn(named, params);
  const name = isObject(holder) ? holder[member] : undefined;
  return typeof name === 'string' ? name : undefined;
}

/** What the hook is asked about. A request of a method without a row in the table is asked about by its method. */
export function askedAbout(
  request: Naming,
): readonly [kind: NameKind | 'method', name: string] | undefined {
  const { method, params } = request;
  if (!isKnownRequest(method)) return ['method', method];
  const [named, name] = [namedIn(method), nameIn(request)];
  return named === undefined || name === undefined ? undefined : [placeIn(named, params)[0], name];
}

/** The same request, in which `nameIn` finds a name, about something else. */
export function withName(request: RpcRequest, name: string): RpcRequest {
  const { method, params } = request;
  const named = namedIn(method);
  if (named === undefined) return request;
  const [, member, holder] = placeIn(named, params);
  const renamed = { ...(holder as object), [member]: name };
  return { ...request, params: named.isInRef === true ? { ...params, ref: renamed } : renamed };
}
