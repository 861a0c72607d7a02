/** A tool as its server lists it: what the server says about it, in both versions of the SDK. */
import { isObject, type RpcResponse } from '../../protocol/jsonrpc.ts';
import { handlerOf } from '../../sdk/sdk-server.ts';

type Answer = Pick<RpcResponse, 'result'>;

/** Sends the `tools/list` of a page with these members. */
type Ask<T extends Answer> = (members: { readonly params?: { readonly cursor: string } }, page: number) => Promise<T>;

/** `ctx`: of the request whose handler asks. `undefined`: the server lists no such tool, or its list failed. */
export async function listedTool(server: object | undefined, name: string, ctx: unknown): Promise<unknown> {
  return (await listedTools(server, [name], ctx)).get(name);
}

/** Those of the named tools that the server lists; none where its list failed. */
export async function listedTools(
  server: object | undefined,
  names: readonly string[],
  ctx: unknown,
): Promise<ReadonlyMap<unknown, unknown>> {
  const list = handlerOf(server, 'tools/list');
  if (list === undefined) return new Map();
  try {
    return await toolsNamed(names, async (members) => {
      const result = await list({ jsonrpc: '2.0', id: 0, method: 'tools/list', ...members }, ctx);
      return { result: isObject(result) ? result : {} };
    });
  } catch {
    return new Map();
  }
}

/** The first tool with each of these names on the pages of `tools/list`. */
export async function toolsNamed(names: readonly unknown[], ask: Ask<Answer>): Promise<Map<unknown, unknown>> {
  const found = new Map<unknown, unknown>();
  for await (const { result } of toolPages(ask)) {
    const tools: unknown = result?.['tools'];
    for (const tool of Array.isArray(tools) ? (tools as unknown[]) : [])
      if (isObject(tool) && names.includes(tool['name']) && !found.has(tool['name'])) found.set(tool['name'], tool);
    if (found.size === names.length) break;
  }
  return found;
}

/** The most pages of `tools/list` that are read to learn what a server says about its tools. */
const PAGES = 100;

/** The answers with the pages of `tools/list`. */
export async function* toolPages<T extends Answer>(ask: Ask<T>): AsyncGenerator<T> {
  let cursor: unknown;
  for (let page = 0; page < PAGES; page++) {
    const answer = await ask(typeof cursor === 'string' ? { params: { cursor } } : {}, page);
    yield answer;
    cursor = answer.result?.['nextCursor'];
    if (typeof cursor !== 'string') return;
  }
}
