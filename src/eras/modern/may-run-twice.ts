/**
 * Whether a lost 2026-07-28 call may run again, as in sessions (`mayRepeat`): every method but `tools/call`, tools with
 * `readOnlyHint` or `idempotentHint`, and tools with `RUNS_ONCE`, whose ledger knows what became of the first run. The
 * server of the call is lost, so the instance lists the tools for this caller with a request that it sends itself.
 */
import { HeardAnswer } from '../../http/heard-answer.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { within } from '../../base/system.ts';
import { isObject, type RpcRequest, type RpcResponse } from '../../protocol/jsonrpc.ts';
import { type CallRequest, SentRequest } from '../../relay/sent-request.ts';
import { toolsOf } from '../../session/calls/listed-tool.ts';
import { mayRepeat } from '../../session/calls/markers.ts';
import type { ModernEra } from './modern-era.ts';

const NOTHING = '{}';

type Options = Pick<ResolvedOptions, 'logger' | 'timeProvider' | 'hookTimeoutMs'>;

/** `undefined`: it calls a tool that the server does not list. */
export async function mayRunTwice(
  call: CallRequest,
  options: Options,
  server: ModernEra,
): Promise<boolean | undefined> {
  const { method, params } = call.request;
  if (method !== 'tools/call') return true;
  const name = params?.['name'];
  const tool = (await toolsOf(({ params: at }) => listTools(call, at, options, server), [name])).get(name);
  return tool === undefined ? undefined : mayRepeat(tool);
}

async function listTools(
  { fields, authInfo, request, version }: CallRequest,
  at: { readonly cursor: string } | undefined,
  { logger, timeProvider, hookTimeoutMs }: Options,
  server: ModernEra,
): Promise<Pick<RpcResponse, 'result'>> {
  const { progressToken: _, ...meta } = isObject(request.params?.['_meta']) ? request.params['_meta'] : {};
  const list: RpcRequest = {
    jsonrpc: '2.0',
    id: 'sojourn.hints',
    method: 'tools/list',
    params: { _meta: meta, ...at },
  };
  const kept = Object.entries(fields.headers).filter(([name]) => !name.startsWith('mcp-'));
  const headers = { ...Object.fromEntries(kept), 'mcp-protocol-version': version, 'mcp-method': list.method };
  const answer = new HeardAnswer();
  const caller = new SentRequest({ ...fields, headers }, authInfo, answer);
  server.serveUnattended({ caller, request: list, version }, answer, false);
  const text = await within(timeProvider, hookTimeoutMs, answer.answered, () => NOTHING);
  const { refused: err } = answer;
  if (err !== undefined) logger.warn({ err }, 'The server could not list its tools: its lost call is not run again');
  const { result } = JSON.parse(text) as { result?: unknown };
  return isObject(result) ? { result } : {};
}
