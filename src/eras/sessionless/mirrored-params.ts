/**
 * `Mcp-Param-*` of a call, compared with its arguments where its server is no `McpServer`, which knows the schema of its
 * tools: low-level servers, programs on stdio. The server of this call is asked for its list, if the client sent such a
 * header, or if the last list of the tool asked for one: of a client, or of the gateway that started the program. A
 * list that fails compares nothing.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { inHookTime } from '../../base/hook-time.ts';
import { isObject, type RpcResponse, toolOf } from '../../base/protocol/jsonrpc.ts';
import { checkParamHeaders, declaresParams, PARAM_PREFIX } from '../../http/mcp-headers.ts';
import { isNotedAsking, toolsOf } from '../../session/calls/listed-tool.ts';
import type { SessionlessCall } from './sessionless-call.ts';

const METHOD = 'tools/list';
/** Names come from lists of servers. A server for each user may list others. */
const MOST_TOOLS = 10_000;

export class MirroredParams {
  /** Tools whose last list asked for a header. */
  readonly #asking = new BoundedMap<unknown, true>(MOST_TOOLS);

  /** Gets the answers to `tools/list`. */
  readonly learn = ({ result }: RpcResponse): void => {
    const tools: unknown = result?.['tools'];
    for (const tool of Array.isArray(tools) ? (tools as unknown[]) : []) this.#learnTool(tool);
  };

  #learnTool(tool: unknown): void {
    if (!isObject(tool)) return;
    if (declaresParams(tool['inputSchema'])) this.#asking.set(tool['name'], true);
    else this.#asking.delete(tool['name']);
  }

  /** `undefined`: nothing is compared. Else rejects with the error of the mismatch. */
  compare(call: SessionlessCall, server: object): Promise<void> | undefined {
    const { sent, own, caller, isRefused } = call;
    const tool = sent && !isRefused && own === undefined ? toolOf(sent) : undefined;
    const args = sent?.params?.['arguments'];
    if (tool === undefined || !isObject(args)) return undefined;
    const isSent = Object.keys(caller.headers).some((name) => name.startsWith(PARAM_PREFIX));
    const isAsking = isSent || this.#asking.has(tool) || isNotedAsking(server, tool);
    return isAsking ? this.#compare(call, tool, args) : undefined;
  }

  async #compare(call: SessionlessCall, tool: string, args: unknown): Promise<void> {
    const { transport, sent } = call;
    if (transport === undefined) return;
    const { progressToken: _, ...envelope } = Object(sent?.params?.['_meta']) as {
      readonly progressToken?: unknown;
    };
    const listed = toolsOf(
      ({ params }) => transport.ask(METHOD, { ...params, _meta: envelope }),
      [tool],
    );
    const waits = { hook: METHOD, sessionId: undefined };
    const tools = await inHookTime(call.host.options, waits, listed).catch(() => undefined);
    const found = tools?.get(tool);
    this.#learnTool(found);
    const schema = isObject(found) ? found['inputSchema'] : undefined;
    const refusal = checkParamHeaders(call.caller, schema, args);
    if (refusal !== undefined) throw refusal;
  }
}
