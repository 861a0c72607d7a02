/**
 * The server of a session in front of a program that speaks 2026-07-28 alone. Each request gets the
 * envelope of its client. The SDK's server asks the client what an `input_required` wants, and then
 * calls the handler again with the answers.
 */
import type { Server, ServerContext } from '@modelcontextprotocol/server';
import type { McpEndpointContext } from '../base/types.ts';
import type { RpcParams, Result } from './child.ts';
import { methodOf } from '../base/protocol/methods.ts';
import type { Place, Watcher } from './place.ts';
import type { Described } from './probe.ts';
import type { Program } from './program.ts';
import { modernParams, newServer, notifying, registerAsking } from './new-server.ts';
import { ToolCalls } from './tool-calls.ts';
import { envelopeOf } from './wire.ts';

export function sessionOnModern(
  program: Program,
  ctx: McpEndpointContext,
  described: Described,
): Server {
  return new SessionOnModern(program, ctx, described).server;
}

class SessionOnModern implements Watcher {
  readonly #ctx: McpEndpointContext;
  readonly #program: Program;
  readonly #place: Place;
  #level: string | undefined = undefined;
  readonly server: Server;

  constructor(program: Program, ctx: McpEndpointContext, described: Described) {
    this.#ctx = ctx;
    this.#program = program;
    const place = (this.#place = program.shared(described) ?? program.place(ctx, undefined, true));
    this.server = newServer(ctx, described);
    registerAsking(this.server, described, new ToolCalls(program.rules, this));
    this.server.setRequestHandler('logging/setLevel', async ({ params }) => {
      this.#level = params.level;
      return {};
    });
    place.watch(this);
    this.server.onclose = () => program.leave(place, this);
  }

  async forward(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    const { replays } = methodOf(method);
    if (replays === 'subscribed' || replays === 'unsubscribed') {
      this.#place.subscribe(this, String(params?.['uri']), replays === 'subscribed');
      return {};
    }
    const { clientCapabilities, clientInfo } = this.#ctx.session ?? {};
    const state = extra.mcpReq.requestState<unknown>();
    const sent = modernParams(
      params,
      envelopeOf(clientCapabilities, clientInfo, this.#level),
      extra,
      typeof state === 'string' ? state : undefined,
    );
    const asked = { signal: extra.mcpReq.signal, notified: notifying(extra, this.#level) };
    const answer = await this.#program.forward(this.#place, method, sent, asked);
    const { resultType, ...result } = answer;
    return resultType === 'input_required' ? answer : result;
  }

  changed(method: string, params: RpcParams): void {
    const notification = { method, ...(params && { params }) };
    this.server.notification(notification as never).catch(() => {});
  }
}
