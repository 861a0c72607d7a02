/** A tool as its server lists it: what the server says about it, in both versions of the SDK. */
import { isObject } from '../../protocol/jsonrpc.ts';
import { toolPages } from './markers.ts';
import { type RequestHandler, TABLE_NAMES } from '../../sdk/sdk-server.ts';

/** `ctx`: of the request whose handler asks. `undefined`: the server lists no such tool, or its list failed. */
export async function listedTool(server: object | undefined, name: string, ctx: unknown): Promise<unknown> {
  const table: unknown = server === undefined ? undefined : Reflect.get(server, TABLE_NAMES.requests);
  const list =
    table instanceof Map ? (Map.prototype.get.call(table, 'tools/list') as RequestHandler | undefined) : undefined;
  if (list === undefined) return undefined;
  const ask = async ({ params }: { readonly params?: object }): Promise<{ result: Record<string, unknown> }> => {
    const result: unknown = await list({ jsonrpc: '2.0', id: 0, method: 'tools/list', ...(params && { params }) }, ctx);
    return { result: isObject(result) ? result : {} };
  };
  try {
    for await (const { result } of toolPages(ask)) {
      const tools = result['tools'];
      const found = Array.isArray(tools)
        ? tools.find((tool: unknown) => isObject(tool) && tool['name'] === name)
        : undefined;
      if (found !== undefined) return found;
    }
  } catch {
    return undefined;
  }
  return undefined;
}
