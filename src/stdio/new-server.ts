/** The SDK's server in front of a child, and its handlers of requests. */
import { Server, type ServerContext } from '@modelcontextprotocol/server';
import type { AnswerError } from '../base/errors/answer-error.ts';
import type { McpEndpointContext } from '../base/types.ts';
import { sendsAllNotifications } from '../sdk/sdk-server.ts';
import type { Notified, RpcParams, Result } from './child.ts';
import type { Described } from './probe.ts';
import type { ToolCalls } from './tool-calls.ts';
import { ASKING_METHODS, isBelow, OWN_INFO } from './wire.ts';

/** What a child said of itself. `protocolVersion`: to a client of 2025. */
export type Answer = Described & { readonly protocolVersion?: string | undefined };

export function newServer(
  ctx: McpEndpointContext,
  { serverInfo, capabilities, instructions }: Answer,
  more: object = {},
): Server {
  // No other process knows the tasks of 2025-11-25. Those of the endpoint are declared elsewhere.
  const { tasks: _tasks, ...kept } = capabilities;
  const told = instructions === undefined ? {} : { instructions };
  // Many programs write log messages and do not declare it.
  const declared = { logging: {}, ...kept };
  const options = { ...ctx.serverOptions, ...more, ...told, capabilities: declared };
  // Programs notify of what they did not declare, and of what the client did not.
  return sendsAllNotifications(new Server(serverInfo, options));
}

/** Answers each request with the reason: what a factory throws stays in the log. */
export function refusingServer(refusal: AnswerError, described?: Described): Server {
  const { serverInfo = OWN_INFO } = described ?? {};
  const server = new Server(serverInfo, { capabilities: {} });
  const refuse = (): never => {
    throw refusal;
  };
  server.setRequestHandler('initialize', refuse);
  server.setRequestHandler('server/discover', refuse);
  server.fallbackRequestHandler = refuse;
  return server;
}

/** What a program of 2026-07-28 gets. `state`: its own. */
export function modernParams(
  params: RpcParams,
  envelope: RpcParams,
  { mcpReq: { inputResponses } }: ServerContext,
  state: string | undefined,
): RpcParams {
  return {
    ...params,
    _meta: { ...(params?.['_meta'] as object | undefined), ...envelope },
    ...(inputResponses !== undefined && { inputResponses }),
    ...(state !== undefined && { requestState: state }),
  };
}

/** Passes on what the child says about a request, and of its log what is not below `level`. */
export const notifying =
  ({ mcpReq }: ServerContext, level: string | undefined): Notified =>
  (method, params) => {
    if (isBelow(method, params, level)) return;
    mcpReq.notify({ method, ...(params && { params }) }).catch(() => {});
  };

/** Where the program may answer with a question, the SDK's own handling of it must see the method. */
export function registerAsking(
  server: Server,
  { capabilities }: Described,
  tools: ToolCalls,
): void {
  for (const [method, capability] of Object.entries(ASKING_METHODS)) {
    if (!(capability in capabilities)) continue;
    const handle = (
      { params }: { readonly params?: RpcParams },
      extra: ServerContext,
    ): Promise<Result> => tools.run(method, params, extra);
    server.setRequestHandler(method as 'tools/call', handle as never);
  }
  server.fallbackRequestHandler = ({ method, params }, extra) => tools.run(method, params, extra);
}
