/**
 * Whether the SDK accepts a request as 2026-07-28. The SDK validates the whole message and its envelope with schemas,
 * which is a twentieth of the CPU of a small call. All requests of one client have the same envelope, so accepted
 * envelopes are remembered. The SDK does not check a request again that differs from an accepted one only where
 * `isPlain` can judge it.
 */
import {
  classifyInboundRequest,
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { BoundedMap } from '../../base/bounded-map.ts';
import type { Exchange } from '../../http/exchange.ts';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import { isModern } from '../../protocol/versions.ts';
import type { SessionlessCall } from '../sessionless-call.ts';

type Modern = Extract<ReturnType<typeof classifyInboundRequest>, { kind: 'modern' }>;
export type Classification = Modern['classification'];

const ACCEPTED_KEPT = 1_000;
/** Longer envelopes are checked each time. */
const LONGEST = 4_096;

const MEMBERS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params']);
const META: ReadonlySet<string> = new Set([
  PROTOCOL_VERSION_META_KEY,
  CLIENT_INFO_META_KEY,
  CLIENT_CAPABILITIES_META_KEY,
  'progressToken',
]);

export class ModernEnvelopes {
  /** Accepted envelopes by version, client and capabilities, as JSON. */
  readonly #accepted = new BoundedMap<string, Classification>(ACCEPTED_KEPT);

  /** `undefined`: the SDK must refuse the request, or it is a request that the SDK answers differently. */
  classify(call: SessionlessCall, request: RpcRequest): Classification | undefined {
    const { version } = call;
    if (request.method === 'subscriptions/listen' || request.method === 'initialize' || !isModern(version))
      return undefined;
    const meta = request.params?.['_meta'];
    if (!isObject(meta) || !isPlain(request, meta)) return ask(call, request);
    const key = JSON.stringify([version, meta[CLIENT_INFO_META_KEY], meta[CLIENT_CAPABILITIES_META_KEY]]);
    const known = this.#accepted.get(key);
    if (known !== undefined && meta[PROTOCOL_VERSION_META_KEY] === version) return known;
    const found = ask(call, request);
    if (found !== undefined && key.length <= LONGEST) this.#accepted.set(key, found);
    return found;
  }
}

/** Whether the request has only the members that every request has. The headers that mirror it were compared before. */
function isPlain(request: RpcRequest, meta: Readonly<Record<string, unknown>>): boolean {
  for (const member in request) if (!MEMBERS.has(member)) return false;
  for (const member in meta) if (!META.has(member)) return false;
  const { progressToken } = meta;
  return isId(request.id) && (progressToken === undefined || isId(progressToken));
}

const isId = (value: unknown): boolean => typeof value === 'string' || Number.isSafeInteger(value);

function ask({ caller, version }: SessionlessCall, request: RpcRequest): Classification | undefined {
  const method = caller.header('mcp-method');
  const name = caller.canonicalHeaders.get('mcp-name') ?? caller.header('mcp-name');
  const outcome = classifyInboundRequest({
    httpMethod: 'POST',
    protocolVersionHeader: version,
    ...(method !== undefined && { mcpMethodHeader: method }),
    ...(name !== undefined && { mcpNameHeader: name }),
    body: request,
  });
  return outcome.kind === 'modern' && outcome.messageKind === 'request' ? outcome.classification : undefined;
}

/** An `initialize` is modern only with a valid modern envelope. */
export function hasModernEnvelope(exchange: Pick<Exchange, 'header'>, request: RpcRequest): boolean {
  const protocolVersionHeader = exchange.header('mcp-protocol-version');
  const outcome = classifyInboundRequest({
    httpMethod: 'POST',
    body: request,
    ...(protocolVersionHeader !== undefined && { protocolVersionHeader }),
  });
  return outcome.kind !== 'legacy';
}
