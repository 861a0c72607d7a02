/** A tool as its server lists it: what the server says about it, in both versions of the SDK. */
import { isObject, type RpcResponse } from '../../base/protocol/jsonrpc.ts';
import type { Call } from './call.ts';
import { handlerOf } from '../../sdk/sdk-server.ts';

/** Sends the `tools/list` of a page with these members. */
type AskPage = (
  members: { readonly params?: { readonly cursor: string } },
  page: number,
) => Promise<Pick<RpcResponse, 'result'>>;

/** Those of the named tools that the server lists; none where its list failed. `ctx`: of the request that asks. */
export async function listedTools(
  server: object | undefined,
  names: readonly string[],
  ctx: unknown,
): Promise<ReadonlyMap<unknown, unknown>> {
  const list = handlerOf(server, 'tools/list');
  if (list === undefined) return new Map();
  try {
    return await toolsOf(async (members) => {
      const result = await list({ jsonrpc: '2.0', id: 0, method: 'tools/list', ...members }, ctx);
      return { result: isObject(result) ? result : {} };
    }, names);
  } catch {
    return new Map();
  }
}

/** What the server of a call says about its tool, here or in its list: the low-level server registers no tools. */
export async function toolOfCall(
  { tool, handlerServer, target = '' }: Call,
  ctx: unknown,
): Promise<unknown> {
  return tool ?? (await listedTools(handlerServer, [target], ctx)).get(target);
}

/** Whether a tool asks for headers that mirror its arguments, as lists said that were read before this server was made. */
export type AsksForHeaders = (tool: string) => boolean;

const ASKING = new WeakMap<object, AsksForHeaders>();

/** For the server of a program, whose tools were listed at its start. */
export function noteAsking(server: object, asks: AsksForHeaders): void {
  ASKING.set(server, asks);
}

export const isNotedAsking = (server: object, tool: string): boolean =>
  ASKING.get(server)?.(tool) === true;

/** The most pages of `tools/list` that are read to learn what a server says about its tools. */
const PAGES = 100;

/** The first tool with each of these names on the pages of `tools/list`; without `names`, with each name. */
export async function toolsOf(
  ask: AskPage,
  names?: readonly unknown[],
): Promise<Map<unknown, unknown>> {
  const found = new Map<unknown, unknown>();
  let cursor: unknown;
  for (let page = 0; page < PAGES && found.size !== names?.length; page++) {
    const { result } = await ask(typeof cursor === 'string' ? { params: { cursor } } : {}, page);
    const tools: unknown = result?.['tools'];
    for (const tool of Array.isArray(tools) ? (tools as unknown[]) : []) {
      if (!isObject(tool) || found.has(tool['name'])) continue;
      if (names === undefined || names.includes(tool['name'])) found.set(tool['name'], tool);
    }
    cursor = result?.['nextCursor'];
    if (typeof cursor !== 'string') break;
  }
  return found;
}
