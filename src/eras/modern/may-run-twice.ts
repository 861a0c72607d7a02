/**
 * Whether a lost 2026-07-28 call may run again, as in sessions: every method but `tools/call`, and tools with
 * `readOnlyHint` or `idempotentHint`. The server of the call is lost, so the instance lists the tools for this caller
 * with a request that it sends itself.
 */
import { attempt } from '../../http/attempt.ts';
import type { Exchange } from '../../http/exchange.ts';
import { KeepAlive } from '../../http/keep-alive.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { systemRandom, within } from '../../options/system.ts';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import type { InboundPost } from '../../call/call.ts';
import { mayRepeat } from '../../session/calls/call-guard.ts';
import { firstPosition } from './lost-answers.ts';
import { readsHeaders, ResumableExchange, type ResumableHost } from './resumable-exchange.ts';
import type { LostCall } from './returning-clients.ts';

/** The most pages of `tools/list` that are read. */
const PAGES = 100;
/** The list is dropped at once. */
const UNCOUNTED: ResumableHost['memory'] = { take: () => true, give: () => {} };
const NOTHING = '{}';

type Options = Pick<ResolvedOptions, 'logger' | 'timeProvider' | 'hookTimeoutMs'>;
type Serve = (post: InboundPost, list: RpcRequest) => Promise<void>;

/** `serve` answers a request on its exchange. */
export async function mayRunTwice(call: LostCall, options: Options, serve: Serve): Promise<boolean> {
  const { method, params } = call.request;
  if (method !== 'tools/call') return true;
  let cursor: unknown;
  for (let page = 0; page < PAGES; page++) {
    const { tools, nextCursor } = await listTools(call, cursor, options, serve);
    const named = (one: unknown): boolean => isObject(one) && one['name'] === params?.['name'];
    const tool = (Array.isArray(tools) ? (tools as unknown[]) : []).find(named);
    if (tool !== undefined) return mayRepeat(tool);
    if (typeof nextCursor !== 'string') return false;
    cursor = nextCursor;
  }
  return false;
}

async function listTools(
  { origin: caller, request, version }: LostCall,
  cursor: unknown,
  { logger, timeProvider, hookTimeoutMs }: Options,
  serve: Serve,
): Promise<Record<string, unknown>> {
  const { progressToken: _, ...meta } = isObject(request.params?.['_meta']) ? request.params['_meta'] : {};
  const params = { _meta: meta, ...(typeof cursor === 'string' && { cursor }) };
  const list: RpcRequest = { jsonrpc: '2.0', id: 'sojourn.hints', method: 'tools/list', params };
  const fields = Object.entries(caller.headerFields()).filter(([name]) => !name.startsWith('mcp-'));
  const headers = { ...Object.fromEntries(fields), 'mcp-protocol-version': version, 'mcp-method': list.method };
  const origin = { ...caller, ...readsHeaders(headers) };
  const answer = new Promise<string>((resolve) => {
    const host: ResumableHost = {
      retryMs: 0,
      response: { form: 'events', keepAlive: new KeepAlive(timeProvider, Infinity), bufferBytes: Infinity },
      bufferBytes: Infinity,
      memory: UNCOUNTED,
      record: async () => false,
      goesOn: () => false,
      attached: () => {},
      answered: (_call, json) => resolve(json),
      cancelled: () => resolve(NOTHING),
      report: (err) => logger.error({ err }, 'The tools could not be listed'),
    };
    const exchange = ResumableExchange.again(origin, firstPosition(list, systemRandom), host);
    attempt(exchange, () => serve(postOf(exchange, list), list));
  });
  const text = await within(timeProvider, hookTimeoutMs, answer, () => NOTHING);
  const { result } = JSON.parse(text === '' ? NOTHING : text) as { result?: unknown };
  return isObject(result) ? result : {};
}

/** A request that no client sends now. */
export function postOf(exchange: Exchange, message: RpcRequest): InboundPost {
  return { exchange, messages: [{ kind: 'request', message }], batch: false, text: undefined };
}
